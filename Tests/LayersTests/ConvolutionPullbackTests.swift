import Checkpoint
import Layers
import TestSupport
import Tensors
import Testing

/// The backward of convolutions against its definition, as plain loops in Double.
@Suite struct ConvolutionPullbackTests {
    static let geometries = [
        Conv2D.Geometry(kernel: 1), Conv2D.Geometry(kernel: 1, stride: 2), Conv2D.Geometry(kernel: 2, stride: 3),
        Conv2D.Geometry(kernel: 3, padding: 1), Conv2D.Geometry(kernel: 3, stride: 2, padding: 1),
        Conv2D.Geometry(kernel: 3, padding: 2, dilation: 2),
        Conv2D.Geometry(kernel: 3, stride: 2, padding: 2, dilation: 2),
        Conv2D.Geometry(kernel: 7, stride: 2, padding: 3),
    ]

    /// The gradients of input, weight and bias: each tap of each output adds its product to all three.
    private struct Expected {
        var input: [Double]
        var weight: [Double]
        var bias: [Double]

        init(_ input: Tensor, weight: Tensor, outputGradient: Tensor, geometry: Conv2D.Geometry) {
            let (height, width, channels) = (input.shape[1], input.shape[2], input.shape[3])
            let (rows, columns, outputs) = (outputGradient.shape[1], outputGradient.shape[2], outputGradient.shape[3])
            let (x, w, dy) = (input.elements, weight.elements, outputGradient.elements)
            var inputGradient = [Double](repeating: 0, count: x.count)
            var weightGradient = [Double](repeating: 0, count: w.count)
            var biasGradient = [Double](repeating: 0, count: outputs)
            for (index, gradient) in dy.enumerated() where gradient != 0 {
                let output = index % outputs
                let column = index / outputs % columns
                let row = index / outputs / columns % rows
                let image = index / outputs / columns / rows
                biasGradient[output] += Double(gradient)
                for tap in 0..<geometry.kernel * geometry.kernel {
                    let y = row * geometry.stride - geometry.padding + tap / geometry.kernel * geometry.dilation
                    let x0 = column * geometry.stride - geometry.padding + tap % geometry.kernel * geometry.dilation
                    guard y >= 0, x0 >= 0, y < height, x0 < width else { continue }
                    for channel in 0..<channels {
                        let place = ((image * height + y) * width + x0) * channels + channel
                        let factor = (output * channels + channel) * geometry.kernel * geometry.kernel + tap
                        inputGradient[place] += Double(gradient) * Double(w[factor])
                        weightGradient[factor] += Double(gradient) * Double(x[place])
                    }
                }
            }
            self.input = inputGradient
            self.weight = weightGradient
            bias = biasGradient
        }
    }

    @Test(arguments: geometries, [(3, 8), (5, 7), (64, 33), (16, 32), (4, 4), (8, 8)])
    func agreesWithTheDefinition(geometry: Conv2D.Geometry, channels: (Int, Int)) throws {
        var random = SeededGenerator(seed: 21)
        let weight = random.tensor([channels.1, channels.0, geometry.kernel, geometry.kernel])
        let source = TensorDictionary(["layer.weight": weight, "layer.bias": random.tensor([channels.1])])
        let convolution = try Conv2D(
            WeightCursor(source)["layer"], inputChannels: channels.0, outputChannels: channels.1, geometry: geometry)
        for (height, width) in [(9, 13), (16, 11), (1, 1), (2, 30)] {
            let input = random.tensor([2, height, width, channels.0])
            for activation in [Activation.none, .relu] {
                let (output, pullback) = convolution.withPullback(input, activation: activation)
                #expect(output.elements == convolution(input, activation: activation).elements)
                let outputGradient = random.tensor(output.shape)
                var gradients = Gradients()
                let inputGradient = pullback(outputGradient, &gradients)

                let masked = zip(outputGradient.elements, output.elements)
                    .map { activation == .none || $1 > 0 ? $0 : 0 }
                let expected = Expected(
                    input, weight: weight, outputGradient: Tensor(output.shape, masked), geometry: geometry)
                #expect(relativeError(inputGradient, Tensor(input.shape, expected.input.map(Float.init))) < 1e-5)
                let weightGradient = try #require(gradients["layer.weight"])
                #expect(relativeError(weightGradient, Tensor(weight.shape, expected.weight.map(Float.init))) < 1e-5)
                let biasGradient = try #require(gradients["layer.bias"])
                #expect(
                    relativeError(biasGradient, Tensor([channels.1], expected.bias.map(Float.init))) < 1e-5)
            }
        }
    }

    /// The gradient of a weight that is scaled on its way into the layer is that of the weight as the checkpoint has it.
    @Test(arguments: [1, 3]) func scaledWeightsGetTheirOwnGradient(kernel: Int) throws {
        var random = SeededGenerator(seed: 22)
        let geometry = Conv2D.Geometry(kernel: kernel, padding: kernel / 2)
        let weight = random.tensor([4, 3, kernel, kernel])
        let scale = [0.5, -2, 3, 0]
        let cursor = WeightCursor(TensorDictionary(["layer.weight": weight]))["layer"]
        let scaled = try Conv2D(cursor, inputChannels: 3, geometry: geometry, scale: scale, shift: [1, 2, 3, 4])
        let input = random.tensor([2, 5, 4, 3])
        let (output, pullback) = scaled.withPullback(input)
        let outputGradient = random.tensor(output.shape)
        var gradients = Gradients()
        _ = pullback(outputGradient, &gradients)
        #expect(gradients.names == ["layer.weight"])
        // The output is linear in the weight.
        let plain = try Conv2D(cursor, inputChannels: 3, outputChannels: 4, geometry: geometry, hasBias: false)
        var plainGradients = Gradients()
        _ = plain.withPullback(input).pullback(outputGradient, &plainGradients)
        let unscaled = try #require(plainGradients["layer.weight"]).elements
        let expected = unscaled.indices.map { unscaled[$0] * Float(scale[$0 / (3 * kernel * kernel)]) }
        #expect(relativeError(try #require(gradients["layer.weight"]), Tensor(weight.shape, expected)) < 1e-6)
    }

    /// Input gradients do not depend on the number of threads; weight gradients, whose sums the threads share, nearly.
    @Test(arguments: geometries) func threadsAgree(geometry: Conv2D.Geometry) throws {
        var random = SeededGenerator(seed: 23)
        let source = TensorDictionary([
            "layer.weight": random.tensor([48, 32, geometry.kernel, geometry.kernel]),
            "layer.bias": random.tensor([48]),
        ])
        let input = random.tensor([2, 33, 29, 32])
        let outputShape = [2, geometry.outputExtent(of: 33), geometry.outputExtent(of: 29), 48]
        let outputGradient = random.tensor(Shape(outputShape))
        let runs = try [1, 2, 3].map { threads in
            try Parallel.withThreadCount(threads) {
                let convolution = try Conv2D(
                    WeightCursor(source)["layer"], inputChannels: 32, outputChannels: 48, geometry: geometry)
                var gradients = Gradients()
                let inputGradient = convolution.withPullback(input).pullback(outputGradient, &gradients)
                return (inputGradient, try #require(gradients["layer.weight"]), try #require(gradients["layer.bias"]))
            }
        }
        for run in runs.dropFirst() {
            #expect(run.0.elements == runs[0].0.elements)
            #expect(relativeError(run.1, runs[0].1) < 1e-5)
            #expect(run.2.elements == runs[0].2.elements)
        }
    }

    @Test func frozenParametersGetNothing() throws {
        var random = SeededGenerator(seed: 24)
        let source = TensorDictionary(["layer.weight": random.tensor([4, 3, 3, 3]), "layer.bias": random.tensor([4])])
        let convolution = try Conv2D(
            WeightCursor(source)["layer"], inputChannels: 3, outputChannels: 4, geometry: Conv2D.Geometry(kernel: 3))
        let (output, pullback) = convolution.withPullback(random.tensor([1, 6, 6, 3]))
        var gradients = Gradients { $0.hasSuffix("bias") }
        _ = pullback(output, &gradients)
        #expect(gradients.names == ["layer.bias"])
    }

    /// In a padded batch each image gets the gradients that it gets alone.
    @Test(arguments: geometries) func ignoresPadding(geometry: Conv2D.Geometry) throws {
        var random = SeededGenerator(seed: 25)
        let source = TensorDictionary([
            "layer.weight": random.tensor([6, 5, geometry.kernel, geometry.kernel]), "layer.bias": random.tensor([6]),
        ])
        let convolution = try Conv2D(
            WeightCursor(source)["layer"], inputChannels: 5, outputChannels: 6, geometry: geometry)
        let sizes = [ValidSize(height: 7, width: 12), ValidSize(height: 11, width: 5)]
        let padded = FeatureMap(values: random.tensor([2, 11, 12, 5]), validSizes: sizes)
        let (output, pullback) = convolution.withPullback(padded, activation: .relu)
        let outputGradient = random.tensor(output.values.shape)
        var together = Gradients()
        let inputGradient = pullback(outputGradient, &together)
        var alone = Gradients()
        for (image, size) in sizes.enumerated() {
            let (_, pullback) = convolution.withPullback(
                padded.values.part(image: image, height: size.height, width: size.width), activation: .relu)
            let gradient = outputGradient.part(
                image: image, height: output.validSizes[image].height, width: output.validSizes[image].width)
            let expected = pullback(gradient, &alone)
            #expect(
                relativeError(inputGradient.part(image: image, height: size.height, width: size.width), expected) < 1e-5
            )
        }
        for name in ["layer.weight", "layer.bias"] {
            #expect(relativeError(try #require(together[name]), try #require(alone[name])) < 1e-5)
        }
        let outside = FeatureMap(values: inputGradient, validSizes: sizes)
        var cleared = outside
        cleared.clearPadding()
        #expect(cleared.values.elements == outside.values.elements)
    }
}
