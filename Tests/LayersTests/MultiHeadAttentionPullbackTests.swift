import Checkpoint
import Foundation
import Layers
import TestSupport
import Tensors
import Testing

/// Self-attention's backward against finite differences of its definition in Double.
@Suite struct MultiHeadAttentionPullbackTests {
    private let images = 2
    private let count = 5
    private let width = 6

    /// The attention without its residual; `weights` are factors that dropout multiplies the attention weights with.
    private func attention(
        query: [Double], target: [Double], inputWeight: ArraySlice<Double>, inputBias: ArraySlice<Double>,
        outputWeight: ArraySlice<Double>, outputBias: ArraySlice<Double>, heads: Int, weightFactors: [Double]
    ) -> [Double] {
        let headWidth = width / heads
        func project(_ x: [Double], part: Int) -> [Double] {
            FeedForwardPullbackTests.linear(
                x, inputWeight.dropFirst(part * width * width).prefix(width * width),
                inputBias.dropFirst(part * width).prefix(width))
        }
        let (q, k, v) = (project(query, part: 0), project(query, part: 1), project(target, part: 2))
        var attended = [Double](repeating: 0, count: query.count)
        for image in 0..<images {
            for head in 0..<heads {
                func at(_ row: Int, _ channel: Int) -> Int {
                    (image * count + row) * width + head * headWidth + channel
                }
                for row in 0..<count {
                    let scores = (0..<count).map { key in
                        (0..<headWidth).reduce(0) { $0 + q[at(row, $1)] * k[at(key, $1)] }
                            / Double(headWidth).squareRoot()
                    }
                    let powers = scores.map { exp($0) }
                    let sum = powers.reduce(0, +)
                    for key in 0..<count {
                        let factor = weightFactors[((image * heads + head) * count + row) * count + key]
                        for channel in 0..<headWidth {
                            attended[at(row, channel)] += powers[key] / sum * factor * v[at(key, channel)]
                        }
                    }
                }
            }
        }
        return FeedForwardPullbackTests.linear(attended, outputWeight, outputBias)
    }

    @Test(arguments: [1, 2, 3], [false, true]) func agreesWithFiniteDifferences(heads: Int, drops: Bool) throws {
        var random = SeededGenerator(seed: 51)
        let shapes: [(name: String, shape: Shape)] = [
            ("self_attn.in_proj_weight", [3 * width, width]), ("self_attn.in_proj_bias", [3 * width]),
            ("self_attn.out_proj.weight", [width, width]), ("self_attn.out_proj.bias", [width]),
        ]
        var parameters = TensorDictionary()
        for (name, shape) in shapes { parameters[name] = random.tensor(shape) }
        let query = random.tensor([images, count, width])
        let (target, residual) = (random.tensor(query.shape), random.tensor(query.shape))
        let upstream = random.tensor(query.shape)
        let weightDropout = drops ? Dropout(probability: 0.3, seed: 1) : nil
        let outputDropout = drops ? Dropout(probability: 0.4, seed: 2) : nil

        let layer = try MultiHeadAttention(WeightCursor(parameters)["self_attn"], width: width, heads: heads)
        let (output, pullback) = layer.withPullback(
            query: query, target: target, addingTo: residual, weightDropout: weightDropout,
            outputDropout: outputDropout)
        if !drops {
            #expect(output.elements == layer(query: query, target: target, addingTo: residual).elements)
        }
        var gradients = Gradients()
        let inputs = pullback(upstream, &gradients)

        let weightFactors = FeedForwardPullbackTests.factors(weightDropout, [images, heads, count, count])
        let outputFactors = FeedForwardPullbackTests.factors(outputDropout, query.shape)
        let point = try (query.elements + target.elements + shapes.flatMap { try parameters.tensor($0.name).elements })
            .map(Double.init)
        let expected = finiteDifferences(at: point, step: 1e-5) { point in
            var start = 0
            func next(_ count: Int) -> ArraySlice<Double> {
                defer { start += count }
                return point[start..<start + count]
            }
            let result = attention(
                query: Array(next(query.count)), target: Array(next(target.count)),
                inputWeight: next(3 * width * width), inputBias: next(3 * width), outputWeight: next(width * width),
                outputBias: next(width), heads: heads, weightFactors: weightFactors)
            return result.indices.reduce(0) { $0 + Double(upstream.elements[$1]) * result[$1] * outputFactors[$1] }
        }.map(Float.init)
        let size = query.count
        #expect(relativeError(inputs.query, Tensor(query.shape, Array(expected.prefix(size)))) < 1e-5)
        #expect(relativeError(inputs.target, Tensor(query.shape, Array(expected[size..<2 * size]))) < 1e-5)
        var start = 2 * size
        for (name, shape) in shapes {
            let values = Array(expected[start..<start + shape.count])
            #expect(relativeError(try #require(gradients[name]), Tensor(shape, values)) < 1e-5, "\(name)")
            start += shape.count
        }
        #expect(gradients.names == shapes.map(\.name).sorted())
    }
}
