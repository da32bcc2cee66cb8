import Checkpoint
import Layers
import TestSupport
import Tensors
import Testing

/// Layer normalisation's backward against finite differences of its definition in Double.
@Suite struct LayerNormPullbackTests {
    /// `sum of upstream * layer_norm(x)` for x `[rows, width]`, gain and bias in one list.
    private static func loss(_ point: [Double], width: Int, upstream: [Float]) -> Double {
        let rows = upstream.count / width
        let (gain, bias) = (point[(rows * width)...].prefix(width), point.suffix(width))
        return (0..<rows).reduce(0) { total, row in
            let values = point[row * width..<(row + 1) * width]
            let mean = values.reduce(0, +) / Double(width)
            let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(width)
            return (0..<width).reduce(total) { total, index in
                let normalized = (values[row * width + index] - mean) / (variance + 1e-5).squareRoot()
                let output = normalized * gain[gain.startIndex + index] + bias[bias.startIndex + index]
                return total + Double(upstream[row * width + index]) * output
            }
        }
    }

    @Test(arguments: [(3, 1), (5, 7), (4, 16), (2, 40), (600, 5)])
    func agreesWithFiniteDifferences(extents: (rows: Int, width: Int)) throws {
        var random = SeededGenerator(seed: 31)
        let (rows, width) = extents
        let (gain, bias) = (random.tensor([width]), random.tensor([width]))
        let input = random.tensor([rows, width], in: -3...5)
        let norm = try LayerNorm(
            WeightCursor(TensorDictionary(["norm.weight": gain, "norm.bias": bias]))["norm"], width: width)
        let upstream = random.tensor(input.shape)
        let (output, pullback) = norm.withPullback(input)
        #expect(output.elements == norm(input).elements)
        var gradients = Gradients()
        let inputGradient = pullback(upstream, &gradients)

        let point = (input.elements + gain.elements + bias.elements).map(Double.init)
        let checked = Array(0..<min(rows, 5) * width) + Array(rows * width..<point.count)
        let expected = finiteDifferences(at: point, indices: checked, step: 1e-5) {
            Self.loss($0, width: width, upstream: upstream.elements)
        }.map(Float.init)
        // One channel is always its own mean: its gradient is rounding, so the bound is absolute too.
        for index in 0..<min(rows, 5) * width {
            #expect(abs(inputGradient.elements[index] - expected[index]) < 2e-5 * max(1, abs(expected[index])))
        }
        let parameters = Array(expected.suffix(2 * width))
        let scale = Float(rows).squareRoot()
        for (name, values) in [("norm.weight", parameters.prefix(width)), ("norm.bias", parameters.suffix(width))] {
            for (actual, expected) in zip(try #require(gradients[name]).elements, values) {
                #expect(abs(actual - expected) < 2e-5 * scale, "\(name)")
            }
        }
    }

    @Test func positionTakesTheQuerysGradient() throws {
        var random = SeededGenerator(seed: 32)
        let norm = try LayerNorm(
            WeightCursor(TensorDictionary(["norm.weight": random.tensor([20]), "norm.bias": random.tensor([20])]))[
                "norm"],
            width: 20)
        let (input, position) = (random.tensor([2, 9, 20]), random.tensor([2, 9, 20]))
        let (first, second) = (random.tensor(input.shape), random.tensor(input.shape))
        let (normalized, query, pullback) = norm.withPullback(input, adding: position)
        let (plain, plainPullback) = norm.withPullback(input)
        #expect(normalized.elements == plain.elements && query.elements == plain.adding(position).elements)
        var (both, sum) = (Gradients(), Gradients())
        #expect(
            pullback(first, second, &both).elements == plainPullback(first.adding(second), &sum).elements)
        #expect(both.names == ["norm.bias", "norm.weight"])
        for name in both.names { #expect(both[name]?.elements == sum[name]?.elements) }
        var alone = Gradients()
        #expect(pullback(first, nil, &alone).elements == plainPullback(first, &sum).elements)
    }
}
