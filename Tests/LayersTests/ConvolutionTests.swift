import Checkpoint
import Layers
import TestSupport
import Tensors
import Testing

/// The definition of a convolution, as plain loops in Double over `nhwc`.
private func plainConvolution(
    _ input: Tensor, weight: Tensor, bias: Tensor, geometry: Conv2D.Geometry, relu: Bool, residual: Tensor?
) -> Tensor {
    let (batch, height, width, channels) = (input.shape[0], input.shape[1], input.shape[2], input.shape[3])
    let outputs = weight.shape[0]
    let outputHeight = geometry.outputExtent(of: height)
    let outputWidth = geometry.outputExtent(of: width)
    let (values, kernel, biases) = (input.elements, weight.elements, bias.elements)
    let added = residual?.elements
    return Tensor([batch, outputHeight, outputWidth, outputs]) { result in
        var index = 0
        for image in 0..<batch {
            for row in 0..<outputHeight {
                for column in 0..<outputWidth {
                    for output in 0..<outputs {
                        var sum = Double(biases[output])
                        for kernelRow in 0..<geometry.kernel {
                            for kernelColumn in 0..<geometry.kernel {
                                let y = row * geometry.stride - geometry.padding + kernelRow * geometry.dilation
                                let x = column * geometry.stride - geometry.padding + kernelColumn * geometry.dilation
                                guard y >= 0, x >= 0, y < height, x < width else { continue }
                                for channel in 0..<channels {
                                    let value = values[((image * height + y) * width + x) * channels + channel]
                                    let factor = kernel[
                                        ((output * channels + channel) * geometry.kernel + kernelRow)
                                            * geometry.kernel + kernelColumn]
                                    sum += Double(value) * Double(factor)
                                }
                            }
                        }
                        if let added { sum += Double(added[index]) }
                        result[index] = Float(relu ? max(0, sum) : sum)
                        index += 1
                    }
                }
            }
        }
    }
}

@Suite struct ConvolutionTests {
    static let geometries = [
        Conv2D.Geometry(kernel: 1), Conv2D.Geometry(kernel: 1, stride: 2),
        Conv2D.Geometry(kernel: 3, padding: 1), Conv2D.Geometry(kernel: 3, stride: 2, padding: 1),
        Conv2D.Geometry(kernel: 3, padding: 2, dilation: 2), Conv2D.Geometry(kernel: 7, stride: 2, padding: 3),
    ]

    @Test(arguments: geometries, [(3, 8), (5, 7), (64, 33)])
    func agreesWithTheDefinition(geometry: Conv2D.Geometry, channels: (Int, Int)) {
        var random = SeededGenerator(seed: 1)
        let weight = random.tensor([channels.1, channels.0, geometry.kernel, geometry.kernel])
        let bias = random.tensor([channels.1])
        let convolution = Conv2D(weight: weight, bias: bias, geometry: geometry)
        for (height, width) in [(9, 13), (16, 11), (1, 1), (2, 30)] {
            let input = random.tensor([2, height, width, channels.0])
            for relu in [false, true] {
                let plain = plainConvolution(
                    input, weight: weight, bias: bias, geometry: geometry, relu: relu, residual: nil)
                let activation: Activation = relu ? .relu : .none
                #expect(relativeError(convolution(input, activation: activation), plain) < 1e-5)

                let residual = random.tensor(plain.shape)
                let sum = plainConvolution(
                    input, weight: weight, bias: bias, geometry: geometry, relu: relu, residual: residual)
                #expect(relativeError(convolution(input, activation: activation, addingTo: residual), sum) < 1e-5)
            }
        }
    }

    @Test func leavesASharedResidualAlone() {
        var random = SeededGenerator(seed: 2)
        let convolution = Conv2D(
            weight: random.tensor([4, 4, 1, 1]), bias: random.tensor([4]), geometry: Conv2D.Geometry(kernel: 1))
        let input = random.tensor([1, 3, 3, 4])
        let before = input.elements
        _ = convolution(input, addingTo: input)
        #expect(input.elements == before)
    }

    /// A layer keeps its result when it is compiled for many sizes in turn, beyond what it remembers.
    @Test func survivesManySizes() {
        var random = SeededGenerator(seed: 3)
        let convolution = Conv2D(
            weight: random.tensor([16, 16, 3, 3]), bias: random.tensor([16]),
            geometry: Conv2D.Geometry(kernel: 3, padding: 1))
        let input = random.tensor([1, 20, 20, 16])
        let first = convolution(input).elements
        for extent in 3..<20 { _ = convolution(random.tensor([1, extent, extent, 16])) }
        #expect(convolution(input).elements == first)
    }

    /// In a padded batch each image gets what it gets alone, whatever the padding holds.
    @Test(arguments: geometries) func ignoresPadding(geometry: Conv2D.Geometry) {
        var random = SeededGenerator(seed: 4)
        let convolution = Conv2D(
            weight: random.tensor([6, 5, geometry.kernel, geometry.kernel]), bias: random.tensor([6]),
            geometry: geometry)
        let sizes = [ValidSize(height: 7, width: 12), ValidSize(height: 11, width: 5)]
        let padded = FeatureMap(values: random.tensor([2, 11, 12, 5]), validSizes: sizes)
        let together = convolution(padded, activation: .relu)
        for (image, size) in sizes.enumerated() {
            let alone = convolution(
                padded.values.part(image: image, height: size.height, width: size.width), activation: .relu)
            #expect(together.validSizes[image] == ValidSize(height: alone.shape[1], width: alone.shape[2]))
            let part = together.values.part(
                image: image, height: together.validSizes[image].height, width: together.validSizes[image].width)
            #expect(relativeError(part, alone) < 1e-6)
        }
    }

    /// Also of padded maps, whose padding counts as 0 however the numbers lie in memory.
    @Test func maxPoolOfBFloat16() {
        var random = SeededGenerator(seed: 15)
        let sizes = [ValidSize(height: 9, width: 4), ValidSize(height: 5, width: 10)]
        let map = FeatureMap(values: random.tensor([2, 9, 10, 18], in: 0...1), validSizes: sizes)
        let factors = FactorMap(map, precision: .bfloat16)
        let pooled = MaxPool()(factors)
        let expected = MaxPool()(factors.featureMap)
        #expect(pooled.values.tensor.elements == expected.values.elements)
        #expect(pooled.validSizes == expected.validSizes)
    }

    /// What a convolution gives the next one in bfloat16 is what it gives in float32, rounded.
    @Test(arguments: [Activation.none, .relu], [false, true])
    func resultsInBFloat16(activation: Activation, addsResidual: Bool) throws {
        var random = SeededGenerator(seed: 16)
        let parameters = TensorDictionary(["weight": random.tensor([32, 16, 3, 3]), "bias": random.tensor([32])])
        let convolution = try Conv2D(
            WeightCursor(parameters), inputChannels: 16, outputChannels: 32,
            geometry: Conv2D.Geometry(kernel: 3, padding: 1), precision: .bfloat16)
        let input = Factor(random.tensor([1, 7, 9, 16]), precision: .bfloat16)
        let residual = Factor(random.tensor([1, 7, 9, 32]), precision: .bfloat16)
        let exact = convolution(input, activation: activation, addingTo: addsResidual ? residual.tensor : nil)
        let rounded = convolution(
            input, result: convolution.input, activation: activation,
            addingTo: addsResidual ? residual : nil)
        for (actual, expected) in zip(rounded.tensor.elements, exact.elements) {
            #expect(abs(actual - expected) <= abs(expected) / 256 + 1e-5)
        }
    }

    @Test func maxPoolTakesTheLargestNeighbour() {
        var random = SeededGenerator(seed: 5)
        for (height, width) in [(1, 1), (2, 3), (8, 7), (9, 10)] {
            let input = random.tensor([2, height, width, 18], in: 0...1)
            let pooled = MaxPool()(FeatureMap(values: input)).values
            let values = input.elements
            let expected = Tensor([2, (height - 1) / 2 + 1, (width - 1) / 2 + 1, 18]) { output in
                var index = 0
                for image in 0..<2 {
                    for row in 0..<(height - 1) / 2 + 1 {
                        for column in 0..<(width - 1) / 2 + 1 {
                            for channel in 0..<18 {
                                var largest: Float = 0
                                for y in max(0, 2 * row - 1)...min(height - 1, 2 * row + 1) {
                                    for x in max(0, 2 * column - 1)...min(width - 1, 2 * column + 1) {
                                        largest = max(
                                            largest, values[((image * height + y) * width + x) * 18 + channel])
                                    }
                                }
                                output[index] = largest
                                index += 1
                            }
                        }
                    }
                }
            }
            #expect(pooled.shape == expected.shape && pooled.elements == expected.elements)
        }
    }
}
