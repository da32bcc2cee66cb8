import DeformableAttention
import Foundation
import TestSupport
import Testing

/// The single-scale module against the paper's equation 2, read literally and in Double:
/// `sum over m of W_m [sum over k of A_mqk W'_m x(p_q + offset_mqk)]`: features are interpolated first and projected after,
/// where the module does the reverse.
@Suite struct EquationTests {
    /// A matrix as rows; `[rows, columns]`.
    private typealias Matrix = [[Double]]

    private func matrix(_ tensor: Tensor?) throws -> Matrix {
        let tensor = try #require(tensor)
        let columns = tensor.shape.last
        return stride(from: 0, to: tensor.count, by: columns).map { start in
            tensor.elements[start..<start + columns].map(Double.init)
        }
    }

    private func product(_ matrix: Matrix, _ vector: [Double]) -> [Double] {
        matrix.map { zip($0, vector).reduce(0) { $0 + $1.0 * $1.1 } }
    }

    /// x at a location in pixels, whose centres have whole coordinates; zero outside.
    private func interpolated(_ map: Matrix, height: Int, width: Int, x: Double, y: Double) -> [Double] {
        var sum = [Double](repeating: 0, count: map[0].count)
        for row in 0..<height {
            for column in 0..<width {
                let share = max(0, 1 - abs(x - Double(column))) * max(0, 1 - abs(y - Double(row)))
                for channel in sum.indices { sum[channel] += share * map[row * width + column][channel] }
            }
        }
        return sum
    }

    /// Single against double precision.
    @Test(arguments: [(1, 1, 1, 1), (1, 4, 5, 3), (3, 1, 6, 2), (2, 3, 3, 7)])
    func singleScaleIsEquationTwo(heads: Int, points: Int, height: Int, width: Int) throws {
        let (channels, queries, headWidth) = (heads * 5, 6, 5)
        var random = SeededGenerator(seed: 61)
        var parameters = TensorDictionary()
        for (name, rows) in [
            ("sampling_offsets", 2 * heads * points), ("attention_weights", heads * points), ("value_proj", channels),
            ("output_proj", channels),
        ] {
            parameters["\(name).weight"] = random.tensor([rows, channels])
            parameters["\(name).bias"] = random.tensor([rows])
        }
        // The equation's W' has no bias; where features are zero, outside, a bias would not be.
        parameters["value_proj.bias"] = Tensor([channels])
        let attention = try SingleScaleDeformableAttention(
            WeightCursor(parameters), width: channels, heads: heads, points: points)
        let query = random.tensor([1, queries, channels])
        let references = random.tensor([1, queries, 2], in: -0.1...1.1)
        let features = random.tensor([1, height, width, channels])

        let map = try matrix(features)
        let value = try matrix(parameters["value_proj.weight"])
        let mixing = try matrix(parameters["output_proj.weight"])
        let offsetBias = try matrix(parameters["sampling_offsets.bias"])[0]
        let logitBias = try matrix(parameters["attention_weights.bias"])[0]
        var expected: [Float] = []
        for (z, p) in zip(try matrix(query), try matrix(references)) {
            let offsets = zip(product(try matrix(parameters["sampling_offsets.weight"]), z), offsetBias).map(+)
            let logits = zip(product(try matrix(parameters["attention_weights.weight"]), z), logitBias).map(+)
            var sampled: [Double] = []
            for head in 0..<heads {
                let powers = (0..<points).map { exp(logits[head * points + $0]) }
                var sum = [Double](repeating: 0, count: channels)
                for point in 0..<points {
                    let place = 2 * (head * points + point)
                    let sample = interpolated(
                        map, height: height, width: width, x: p[0] * Double(width) - 0.5 + offsets[place],
                        y: p[1] * Double(height) - 0.5 + offsets[place + 1])
                    let weight = powers[point] / powers.reduce(0, +)
                    for channel in 0..<channels { sum[channel] += weight * sample[channel] }
                }
                sampled += product(Array(value[head * headWidth..<(head + 1) * headWidth]), sum)
            }
            let bias = try matrix(parameters["output_proj.bias"])[0]
            expected += zip(product(mixing, sampled), bias).map { Float($0 + $1) }
        }
        let output = try attention(query: query, references: references, features: features)
        #expect(relativeError(output, Tensor([1, queries, channels], expected)) < 1e-5)
    }
}
