import Checkpoint
import Foundation
import Layers
import TestSupport
import Tensors
import Testing

/// Layers that treat every row alike, against their definitions in Double.
@Suite struct RowLayerTests {
    @Test(arguments: [(1, 1, 1), (3, 5, 7), (300, 256, 512), (1000, 64, 33)])
    func linearAgreesWithTheDefinition(size: (rows: Int, input: Int, output: Int)) {
        var random = SeededGenerator(seed: 11)
        let weight = random.tensor([size.output, size.input])
        let bias = random.tensor([size.output])
        let input = random.tensor([size.rows, size.input])
        let residual = random.tensor([size.rows, size.output])
        let (x, w, b, r) = (input.elements, weight.elements, bias.elements, residual.elements)
        func expected(relu: Bool, adding: Bool) -> Tensor {
            Tensor([size.rows, size.output]) { result in
                for row in 0..<size.rows {
                    for column in 0..<size.output {
                        var sum = Double(b[column]) + (adding ? Double(r[row * size.output + column]) : 0)
                        for index in 0..<size.input {
                            sum += Double(x[row * size.input + index]) * Double(w[column * size.input + index])
                        }
                        result[row * size.output + column] = Float(relu ? max(0, sum) : sum)
                    }
                }
            }
        }
        let linear = Linear(weight: weight, bias: bias)
        #expect(relativeError(linear(input), expected(relu: false, adding: false)) < 1e-5)
        #expect(relativeError(linear(input, activation: .relu), expected(relu: true, adding: false)) < 1e-5)
        #expect(relativeError(linear(input, addingTo: residual), expected(relu: false, adding: true)) < 1e-5)
        #expect(residual.elements == r)
    }

    @Test(arguments: [1, 7, 16, 40, 256]) func layerNormAgreesWithTheDefinition(width: Int) {
        var random = SeededGenerator(seed: 12)
        let (gain, bias) = (random.tensor([width]), random.tensor([width]))
        let input = random.tensor([150, width], in: -3...5)
        let position = random.tensor([150, width])
        let (x, g, b) = (input.elements, gain.elements, bias.elements)
        let expected = Tensor([150, width]) { result in
            for row in 0..<150 {
                let values = x[row * width..<(row + 1) * width].map(Double.init)
                let mean = values.reduce(0, +) / Double(width)
                let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(width)
                for index in 0..<width {
                    let normalized = (values[index] - mean) / (variance + 1e-5).squareRoot()
                    result[row * width + index] = Float(normalized * Double(g[index]) + Double(b[index]))
                }
            }
        }
        let norm = LayerNorm(gain: gain, bias: bias)
        #expect(relativeError(norm(input), expected) < 1e-5)
        let (normalized, query) = norm(input, adding: position)
        #expect(relativeError(normalized, expected) < 1e-5)
        #expect(query.elements == normalized.adding(position).elements)
    }

    /// Statistics come from each image's valid part alone; rows land where they should.
    @Test func groupNormAgreesWithTheDefinition() {
        var random = SeededGenerator(seed: 13)
        let (groups, channels) = (3, 12)
        let (gain, bias) = (random.tensor([channels]), random.tensor([channels]))
        let sizes = [ValidSize(height: 5, width: 4), ValidSize(height: 3, width: 7)]
        let map = FeatureMap(values: random.tensor([2, 5, 7, channels], in: -2...6), validSizes: sizes)
        var sequence = Tensor([2, 50, channels], repeating: 99)
        GroupNorm(groups: groups, gain: gain, bias: bias)(map, into: &sequence, at: 10)
        let (x, y, g, b) = (map.values.elements, sequence.elements, gain.elements, bias.elements)
        for (image, size) in sizes.enumerated() {
            for group in 0..<groups {
                var values: [(channel: Int, location: Int, value: Double)] = []
                for row in 0..<size.height {
                    for column in 0..<size.width {
                        for channel in group * 4..<(group + 1) * 4 {
                            let value = x[((image * 5 + row) * 7 + column) * channels + channel]
                            values.append((channel, row * 7 + column, Double(value)))
                        }
                    }
                }
                let mean = values.reduce(0) { $0 + $1.value } / Double(values.count)
                let variance = values.reduce(0) { $0 + ($1.value - mean) * ($1.value - mean) } / Double(values.count)
                for (channel, location, value) in values {
                    let expected =
                        (value - mean) / (variance + 1e-5).squareRoot() * Double(g[channel]) + Double(b[channel])
                    let actual = y[(image * 50 + 10 + location) * channels + channel]
                    #expect(abs(Double(actual) - expected) < 1e-5)
                }
            }
            #expect(y[image * 50 * channels] == 99 && y[(image * 50 + 45) * channels] == 99)
        }
    }

    @Test(arguments: [(1, 1, 1, 4), (2, 9, 3, 12), (1, 300, 8, 256)])
    func attentionAgreesWithTheDefinition(size: (images: Int, queries: Int, heads: Int, width: Int)) throws {
        var random = SeededGenerator(seed: 14)
        let (width, headWidth) = (size.width, size.width / size.heads)
        let range = -2 / Float(width).squareRoot()...2 / Float(width).squareRoot()
        let weight = random.tensor([3 * width, width], in: range)
        let bias = random.tensor([3 * width])
        let outputWeight = random.tensor([width, width], in: range)
        let outputBias = random.tensor([width])
        let source = TensorDictionary([
            "in_proj_weight": weight, "in_proj_bias": bias, "out_proj.weight": outputWeight,
            "out_proj.bias": outputBias,
        ])
        let attention = try MultiHeadAttention(WeightCursor(source), width: width, heads: size.heads)
        let query = random.tensor([size.images, size.queries, width])
        let target = random.tensor([size.images, size.queries, width])
        let residual = random.tensor([size.images, size.queries, width])

        /// Rows of `[rows, width]` times some rows of a weight.
        func project(_ input: Tensor, _ weight: Tensor, _ bias: Tensor, _ outputs: Range<Int>) -> [[Double]] {
            let (x, w, b) = (input.elements, weight.elements, bias.elements)
            return (0..<input.count / width).map { row in
                outputs.map { output in
                    (0..<width).reduce(Double(b[output])) {
                        $0 + Double(x[row * width + $1]) * Double(w[output * width + $1])
                    }
                }
            }
        }
        let queries = project(query, weight, bias, 0..<width)
        let keys = project(query, weight, bias, width..<2 * width)
        let values = project(target, weight, bias, 2 * width..<3 * width)
        let attended = Tensor([size.images * size.queries, width]) { output in
            for row in 0..<size.images * size.queries {
                let first = row / size.queries * size.queries
                for head in 0..<size.heads {
                    let channels = head * headWidth..<(head + 1) * headWidth
                    let powers = (first..<first + size.queries).map { other in
                        exp(
                            channels.reduce(0) { $0 + queries[row][$1] * keys[other][$1] }
                                / Double(headWidth).squareRoot())
                    }
                    let total = powers.reduce(0, +)
                    for channel in channels {
                        let sum = powers.indices.reduce(0) { $0 + powers[$1] / total * values[first + $1][channel] }
                        output[row * width + channel] = Float(sum)
                    }
                }
            }
        }
        let projected = project(attended, outputWeight, outputBias, 0..<width).flatMap { $0 }
        let expected = Tensor(query.shape, zip(projected, residual.elements).map { Float($0 + Double($1)) })
        #expect(relativeError(attention(query: query, target: target, addingTo: residual), expected) < 1e-5)
    }
}
