import DeformableAttention
import TestSupport
import Testing

/// The sampler's backward against finite differences of the plain one, and where the definition has a kink.
@Suite struct DeformableSamplingPullbackTests {
    static let cases = [
        SamplingCase(images: 1, heads: 1, headWidth: 1, points: 1, sizes: [(1, 1)], queries: 5, offsetRange: -1...1),
        SamplingCase(heads: 2, headWidth: 3, points: 2, sizes: [(3, 5), (2, 2)], queries: 3, offsetRange: -2...2),
        SamplingCase(
            heads: 2, headWidth: 3, points: 2, sizes: [(3, 5), (2, 2)], queries: 3, referenceWidth: 4,
            offsetRange: -3...3),
        SamplingCase(images: 1, heads: 1, headWidth: 35, points: 3, sizes: [(2, 3)], queries: 4, offsetRange: -2...2),
        SamplingCase(
            images: 3, heads: 3, headWidth: 16, points: 1, sizes: [(4, 1), (1, 4), (1, 1)], queries: 2,
            referenceWidth: 4, offsetRange: -2...2),
        SamplingCase(images: 1, heads: 2, headWidth: 2, points: 4, sizes: [(3, 3)], queries: 9, offsetRange: -90...90),
    ]

    /// Central differences are exact in the value, and within the step's square (1e-12) in the rest; the fast backward rounds to
    /// single precision. The seed puts no sample within a step of a kink.
    @Test(arguments: cases) func agreesWithFiniteDifferences(test: SamplingCase) {
        let operands = test.operands(seed: 31)
        let sampling = test.sampling
        var random = SeededGenerator(seed: 32)
        let outputGradient = random.tensor([test.images, test.queries, test.heads * test.headWidth])
        let gradients = operands.pullback(of: sampling)(outputGradient)

        let plain = DeformableSampling.PlainOperands(
            value: operands.value, layout: operands.layout, projections: operands.projections,
            references: operands.references)
        let weights = outputGradient.elements.map(Double.init)
        func check(_ gradient: Tensor, of field: WritableKeyPath<DeformableSampling.PlainOperands, [Double]>) {
            let expected = finiteDifferences(at: plain[keyPath: field]) { point in
                var moved = plain
                moved[keyPath: field] = point
                return zip(sampling.plain(moved), weights).reduce(0) { $0 + $1.0 * $1.1 }
            }
            #expect(relativeError(gradient, Tensor(gradient.shape, expected.map(Float.init))) < 1e-5)
        }
        #expect(gradients.value.shape == operands.value.shape)
        #expect(gradients.projections.shape == operands.projections.shape)
        #expect(gradients.references.shape == operands.references.shape)
        check(gradients.value, of: \.value)
        check(gradients.projections, of: \.projections)
        check(gradients.references, of: \.references)
    }

    @Test(arguments: [2, 4]) func threadsDoNotChangeTheGradients(referenceWidth: Int) {
        let test = SamplingCase(referenceWidth: referenceWidth)
        let operands = test.operands(seed: 33)
        var random = SeededGenerator(seed: 34)
        let outputGradient = random.tensor([test.images, test.queries, test.heads * test.headWidth])
        let results = [1, 2, 3, 7].map { threads in
            Parallel.withThreadCount(threads) {
                let gradients = operands.pullback(of: test.sampling)(outputGradient)
                return [gradients.value, gradients.projections, gradients.references].map(\.elements)
            }
        }
        for result in results.dropFirst() { #expect(result == results[0]) }
    }

    /// In the row 1, 2, 4, 8: an offset from the left edge's reference, and the slope there.
    static let slopes: [(offset: Float, slope: Float)] = [
        // On a centre the slope is the one to the right; a pixel outside at the left it is that of the first pixel's
        // share, as PyTorch has it; a pixel outside at the right there is none.
        (0.5, 1), (1.5, 2), (2.5, 4), (3.5, -8), (-0.5, 1), (4.5, 0),
        // Between centres, and half inside.
        (0.75, 1), (2, 2), (0, 1), (-0.25, 1), (4, -8),
        // Nothing to see.
        (-0.75, 0), (5, 0), (1e30, 0), (-1e30, 0), (.infinity, 0), (-.infinity, 0), (.nan, 0),
    ]

    @Test(arguments: slopes) func bordersCentresAndWildLocations(offset: Float, slope: Float) {
        let operands = SamplingOperands(
            value: Tensor([1, 4, 1], [1, 2, 4, 8]), layout: LevelLayout([ValidSize(height: 1, width: 4)]),
            projections: Tensor([1, 1, 3], [offset, 0, 0]), references: Tensor([1, 1, 1, 2], [0, 0.5]))
        let gradients = operands.pullback(of: DeformableSampling(heads: 1, headWidth: 1, points: 1))(
            Tensor([1, 1, 1], [1]))
        // Down the only row, the interpolation falls to zero a pixel below: minus what is sampled.
        let sampled = operands.sampled(by: DeformableSampling(heads: 1, headWidth: 1, points: 1)).elements[0]
        #expect(gradients.projections.elements == [slope, -sampled, 0])
        #expect(gradients.references.elements == [4 * slope, -sampled])
        #expect(gradients.value.elements.allSatisfy { $0.isFinite })
    }

    /// A box of infinite or undefined size, centre or offset samples nothing and has no gradient.
    @Test(arguments: [Float.nan, .infinity, -.infinity, 3e38], 0..<6)
    func wildBoxesHaveNoGradient(wild: Float, place: Int) {
        var numbers: [Float] = [0.5, 0.5, 0.7, 0.7, 0.3, 0.2]
        numbers[place] = wild
        let operands = SamplingOperands(
            value: Tensor([1, 12, 1], (0..<12).map(Float.init)), layout: LevelLayout([ValidSize(height: 3, width: 4)]),
            projections: Tensor([1, 1, 3], [numbers[4], numbers[5], 0]),
            references: Tensor([1, 1, 1, 4], Array(numbers[..<4])))
        let sampling = DeformableSampling(heads: 1, headWidth: 1, points: 1)
        #expect(operands.sampled(by: sampling).elements == [0])
        let gradients = operands.pullback(of: sampling)(Tensor([1, 1, 1], [1]))
        #expect(gradients.value.elements.allSatisfy { $0 == 0 })
        #expect(gradients.projections.elements == [0, 0, 0])
        #expect(gradients.references.elements == [0, 0, 0, 0])
    }
}
