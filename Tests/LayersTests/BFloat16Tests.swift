import Checkpoint
import Layers
import TestSupport
import Tensors
import Testing

/// Rounding to bfloat16, and layers that compute in it.
@Suite struct BFloat16Tests {
    /// The nearest float whose lower 16 bits are 0, the even one of two, by comparing distances.
    private static func nearest(_ value: Float) -> Float {
        guard value.isFinite else { return value }
        let below = Float(bitPattern: value.bitPattern & 0xffff_0000)
        let above = Float(bitPattern: (value.bitPattern & 0xffff_0000) + 0x1_0000)
        // Beyond the largest comes what would be the next number, and is infinity.
        let step = above.isFinite ? Double(above) - Double(below) : Double(below) - Double(below.nextDownBFloat16)
        let distance = (Double(value) - Double(below)) / step
        if distance == 0.5 { return below.bitPattern >> 16 & 1 == 0 ? below : above }
        return distance < 0.5 ? below : above
    }

    private static func rounded(_ tensor: Tensor) -> Tensor {
        Factor(tensor, precision: .bfloat16).tensor
    }

    @Test func roundsToNearestEven() {
        var random = SeededGenerator(seed: 1)
        var values: [Float] = [
            0, -0.0, 1, 1 + 0x1p-8, 1 + 0x1p-7 + 0x1p-8, 1 + 0x1p-8 + 0x1p-23, 1 + 0x1p-8 - 0x1p-23, 0x1p-149,
            -0x1p-133, .leastNormalMagnitude, .greatestFiniteMagnitude, -.greatestFiniteMagnitude, 0x1.fep127,
            0x1.fefffep127, 0x1.ffp127, .infinity, -.infinity,
        ]
        values += (0..<200_003).map { _ in Float(bitPattern: UInt32.random(in: .min ... .max, using: &random)) }
        values = values.map { $0.isNaN ? 0.1 : $0 }
        let rounded = Self.rounded(Tensor([values.count], values)).elements
        for (value, result) in zip(values, rounded) {
            #expect(result.bitPattern == Self.nearest(value).bitPattern, "\(value)")
        }
    }

    /// Also those whose upper half alone would be infinity.
    @Test func keepsNotANumber() {
        let patterns: [UInt32] = [0x7f80_0001, 0x7fc0_0000, 0x7fff_ffff, 0xff80_ffff, 0xffff_ffff, 0x7f80_7fff]
        let values = Tensor([6], patterns.map { Float(bitPattern: $0) })
        let rounded = Self.rounded(values).elements
        #expect(rounded.allSatisfy { $0.isNaN })
        #expect(rounded.map { $0.sign } == values.elements.map { $0.sign })
    }

    @Test func float32IsLeftAsItIs() {
        var random = SeededGenerator(seed: 2)
        let tensor = random.tensor([3, 7])
        #expect(Factor(tensor, precision: .float32).tensor.elements == tensor.elements)
    }

    @Test(arguments: [0, 1, 15, 16, 17, 1000, 70_001]) func masksWhatAReLUKeptBack(count: Int) {
        var random = SeededGenerator(seed: 3)
        var output = random.tensor([count]).elements.map { max(0, $0) }
        for (index, special) in [Float.nan, .infinity, -0.0, 0x1p-149].enumerated() where index < count {
            output[index] = special
        }
        var gradient = random.tensor([count])
        if count > 5 { gradient.withMutableElements { $0[5] = .infinity } }
        let masked = ReLUMask(of: Tensor([count], output)).gradient(of: gradient)
        #expect(masked.elements == zip(output, gradient.elements).map { $0 > 0 ? $1 : 0 })
    }

    /// What both precisions see alike: numbers that bfloat16 has.
    ///
    /// The products of two such numbers are exact in float32, so that only sums and their order differ: 1e-5 of the largest
    /// element, as between float32 and the definition.
    private static let exactTolerance: Float = 1e-5

    @Test(
        arguments: ConvolutionPullbackTests.geometries, [(3, 8), (5, 7), (64, 33), (16, 32), (4, 4), (8, 8)])
    func convolutionsOfRoundedNumbersAgreeWithFloat32(geometry: Conv2D.Geometry, channels: (Int, Int)) throws {
        var random = SeededGenerator(seed: 4)
        let source = TensorDictionary([
            "layer.weight": Self.rounded(random.tensor([channels.1, channels.0, geometry.kernel, geometry.kernel])),
            "layer.bias": random.tensor([channels.1]),
        ])
        let convolutions = try [ComputePrecision.float32, .bfloat16].map {
            try Conv2D(
                WeightCursor(source)["layer"], inputChannels: channels.0, outputChannels: channels.1,
                geometry: geometry, precision: $0)
        }
        for (height, width) in [(9, 13), (16, 11), (1, 1), (2, 30)] {
            let input = Self.rounded(random.tensor([2, height, width, channels.0]))
            let outputs = convolutions.map { $0(input) }
            #expect(relativeError(outputs[1], outputs[0]) < Self.exactTolerance)
            let residual = random.tensor(outputs[0].shape)
            let sums = convolutions.map { $0(input, activation: .relu, addingTo: residual) }
            #expect(relativeError(sums[1], sums[0]) < Self.exactTolerance)
            let outputGradient = Self.rounded(random.tensor(outputs[0].shape))
            let results = convolutions.map { convolution in
                var gradients = Gradients()
                let inputGradient = convolution.withPullback(input).pullback(outputGradient, &gradients)
                return (inputGradient, gradients)
            }
            #expect(relativeError(results[1].0, results[0].0) < Self.exactTolerance)
            for name in ["layer.weight", "layer.bias"] {
                let (actual, expected) = (try #require(results[1].1[name]), try #require(results[0].1[name]))
                #expect(relativeError(actual, expected) < Self.exactTolerance, "\(name)")
            }
        }
    }

    @Test(arguments: [(7, 5, 3), (600, 17, 33), (1, 1, 1), (1, 64, 16), (0, 8, 8)])
    func productsOfRoundedNumbersAgreeWithFloat32(extents: (rows: Int, input: Int, output: Int)) throws {
        var random = SeededGenerator(seed: 5)
        let (rows, inputWidth, outputWidth) = extents
        let source = TensorDictionary([
            "layer.weight": Self.rounded(random.tensor([outputWidth, inputWidth])),
            "layer.bias": random.tensor([outputWidth]),
        ])
        let layers = try [ComputePrecision.float32, .bfloat16].map {
            try Linear(
                WeightCursor(source)["layer"], inputWidth: inputWidth, outputWidth: outputWidth, precision: $0)
        }
        let input = Self.rounded(random.tensor([rows, inputWidth]))
        let outputGradient = Self.rounded(random.tensor([rows, outputWidth]))
        let residual = random.tensor([rows, outputWidth])
        let sums = layers.map { $0(input, activation: .relu, addingTo: residual) }
        #expect(relativeError(sums[1], sums[0]) < Self.exactTolerance)
        let results = layers.map { layer in
            // Once before, so that the weights are packed when the backward asks for them.
            _ = layer(input)
            let (output, pullback) = layer.withPullback(input)
            var gradients = Gradients()
            return (output, pullback(outputGradient, &gradients), gradients)
        }
        #expect(relativeError(results[1].0, results[0].0) < Self.exactTolerance)
        #expect(relativeError(results[1].1, results[0].1) < Self.exactTolerance)
        for name in ["layer.weight", "layer.bias"] {
            let (actual, expected) = (try #require(results[1].2[name]), try #require(results[0].2[name]))
            #expect(relativeError(actual, expected) < Self.exactTolerance, "\(name)")
        }
    }

    /// Numbers that bfloat16 does not have are rounded, and nothing else happens to them: a layer gives what it gives for the
    /// rounded numbers.
    @Test func layersRoundInputsWeightsAndGradientsOnly() throws {
        var random = SeededGenerator(seed: 6)
        let weight = random.tensor([24, 16, 3, 3])
        let bias = random.tensor([24])
        func layer(_ weight: Tensor, _ precision: ComputePrecision) throws -> Conv2D {
            try Conv2D(
                WeightCursor(TensorDictionary(["layer.weight": weight, "layer.bias": bias]))["layer"],
                inputChannels: 16, outputChannels: 24, geometry: Conv2D.Geometry(kernel: 3, padding: 1),
                precision: precision)
        }
        let input = random.tensor([1, 9, 14, 16])
        let (output, pullback) = try layer(weight, .bfloat16).withPullback(input)
        let outputGradient = random.tensor(output.shape)
        let (expected, expectedPullback) = try layer(Self.rounded(weight), .float32).withPullback(Self.rounded(input))
        #expect(relativeError(output, expected) < Self.exactTolerance)
        var gradients = Gradients()
        var expectedGradients = Gradients()
        let inputGradient = pullback(outputGradient, &gradients)
        let expectedInput = expectedPullback(Self.rounded(outputGradient), &expectedGradients)
        #expect(relativeError(inputGradient, expectedInput) < Self.exactTolerance)
        let name = "layer.weight"
        #expect(
            relativeError(try #require(gradients[name]), try #require(expectedGradients[name])) < Self.exactTolerance)
        // A bias gets the sum of the gradient as it came.
        #expect(gradients["layer.bias"]?.elements == outputGradient.columnSums().elements)
        // bfloat16 is within 2^-9 of each number, so of each product within 2^-8; and it is not float32.
        let exact = try layer(weight, .float32)(input)
        #expect(relativeError(output, exact) < 0x1p-8)
        #expect(relativeError(output, exact) > 1e-4)
    }
}

extension Float {
    /// The next smaller magnitude that bfloat16 has.
    fileprivate var nextDownBFloat16: Float { Float(bitPattern: (bitPattern & 0xffff_0000) - 0x1_0000) }
}
