import Checkpoint
import Layers
import TestSupport
import Tensors
import Testing

/// The linear layer's backward against the sums that define it, in Double.
@Suite struct LinearPullbackTests {
    @Test(arguments: [(7, 5, 3), (600, 17, 33), (1, 1, 1), (1, 64, 16)], [Activation.none, .relu])
    func agreesWithTheDefinition(extents: (rows: Int, input: Int, output: Int), activation: Activation) throws {
        var random = SeededGenerator(seed: 5)
        let (rows, inputWidth, outputWidth) = extents
        let weight = random.tensor([outputWidth, inputWidth])
        let bias = random.tensor([outputWidth])
        let input = random.tensor([rows, inputWidth])
        let outputGradient = random.tensor([rows, outputWidth])
        let layer = try Linear(
            WeightCursor(TensorDictionary(["layer.weight": weight, "layer.bias": bias]))["layer"],
            inputWidth: inputWidth, outputWidth: outputWidth)
        // Once before, so that the weights are packed when the backward asks for them.
        _ = layer(input)
        let (output, pullback) = layer.withPullback(input, activation: activation)
        var gradients = Gradients()
        let inputGradient = pullback(outputGradient, &gradients)

        let (w, x, y, dy) = (weight.elements, input.elements, output.elements, outputGradient.elements)
        var expectedInput = [Double](repeating: 0, count: x.count)
        var expectedWeight = [Double](repeating: 0, count: w.count)
        var expectedBias = [Double](repeating: 0, count: outputWidth)
        for row in 0..<rows {
            for column in 0..<outputWidth where activation == .none || y[row * outputWidth + column] > 0 {
                let gradient = Double(dy[row * outputWidth + column])
                expectedBias[column] += gradient
                for inner in 0..<inputWidth {
                    expectedInput[row * inputWidth + inner] += gradient * Double(w[column * inputWidth + inner])
                    expectedWeight[column * inputWidth + inner] += gradient * Double(x[row * inputWidth + inner])
                }
            }
        }
        #expect(relativeError(inputGradient, Tensor(input.shape, expectedInput.map(Float.init))) < 1e-5)
        let weightGradient = try #require(gradients["layer.weight"])
        #expect(relativeError(weightGradient, Tensor(weight.shape, expectedWeight.map(Float.init))) < 1e-5)
        let biasGradient = try #require(gradients["layer.bias"])
        #expect(relativeError(biasGradient, Tensor([outputWidth], expectedBias.map(Float.init))) < 1e-5)
    }

    @Test func stackedLayersGetTheirOwnGradients() throws {
        var random = SeededGenerator(seed: 6)
        let source = TensorDictionary([
            "a.weight": random.tensor([3, 4]), "a.bias": random.tensor([3]), "b.weight": random.tensor([2, 4]),
            "b.bias": random.tensor([2]),
        ])
        let cursor = WeightCursor(source)
        let stacked = try Linear(stacking: [(cursor["a"], 3), (cursor["b"], 2)], inputWidth: 4)
        let input = random.tensor([6, 4])
        let outputGradient = random.tensor([6, 5])
        var gradients = Gradients()
        _ = stacked.withPullback(input).pullback(outputGradient, &gradients)
        var separate = Gradients()
        for (name, columns) in [("a", 0..<3), ("b", 3..<5)] {
            let layer = try Linear(cursor[name], inputWidth: 4, outputWidth: columns.count)
            _ = layer.withPullback(input).pullback(outputGradient.columns(columns), &separate)
        }
        #expect(gradients.names == separate.names && gradients.names.count == 4)
        for name in gradients.names {
            #expect(relativeError(try #require(gradients[name]), try #require(separate[name])) < 1e-6)
        }
    }
}
