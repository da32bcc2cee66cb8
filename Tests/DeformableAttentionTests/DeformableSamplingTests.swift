import DeformableAttention
import TestSupport
import Testing

/// The fast sampler against the plain one, which is the definition.
@Suite struct DeformableSamplingTests {
    /// Single against double precision: sums of at most 20 samples stay within 1e-5.
    @Test(arguments: SamplingCase.all) func agreesWithTheDefinition(test: SamplingCase) {
        let operands = test.operands(seed: 21)
        let plain = test.sampling.plain(
            value: operands.value, layout: operands.layout, projections: operands.projections,
            references: operands.references)
        #expect(relativeError(operands.sampled(by: test.sampling), plain) < 1e-5)
    }

    /// Values in bfloat16 are sampled as the float32 numbers that they are, with heads side by side and apart.
    @Test(arguments: SamplingCase.all, [1, 1_000_000]) func samplesBFloat16(test: SamplingCase, queries: Int) {
        let operands = test.operands(seed: 23)
        let value = Factor(operands.value, precision: .bfloat16)
        let sampled = test.sampling.sample(
            SampledValue(value, heads: test.heads, queries: queries), layout: operands.layout,
            projections: operands.projections, references: operands.references)
        let widened = test.sampling.sample(
            SampledValue(Factor(value.tensor, precision: .float32), heads: test.heads, queries: queries),
            layout: operands.layout, projections: operands.projections, references: operands.references)
        #expect(sampled.elements == widened.elements)
    }

    @Test func threadsDoNotChangeTheResult() {
        let operands = SamplingCase().operands(seed: 22)
        let results = [1, 2, 5].map { threads in
            Parallel.withThreadCount(threads) { operands.sampled(by: SamplingCase().sampling).elements }
        }
        #expect(results[0] == results[1] && results[0] == results[2])
    }

    /// A sample on a pixel's centre is that pixel; the weights of a constant map sum to 1.
    @Test func samplesPixelsAndSumsWeightsToOne() {
        let sampling = DeformableSampling(heads: 1, headWidth: 1, points: 2)
        let layout = LevelLayout([ValidSize(height: 3, width: 4)])
        let projections = Tensor([1, 1, 6], [0, 0, 0, 0, 1.5, -0.5])
        let references = Tensor([1, 1, 1, 2], [2.5 / 4, 1.5 / 3])
        let ramp = Tensor([1, 12, 1], (0..<12).map(Float.init))
        let sampled = sampling(value: ramp, layout: layout, projections: projections, references: references)
        #expect(abs(sampled.elements[0] - 6) < 1e-5)
        let constant = sampling(
            value: Tensor([1, 12, 1], repeating: 1), layout: layout, projections: projections, references: references)
        #expect(abs(constant.elements[0] - 1) < 1e-6)
    }

    /// Offsets of zero: every point of every head samples the reference itself, so that weights do not matter.
    @Test func zeroOffsetsSampleTheReference() {
        let sampling = DeformableSampling(heads: 2, headWidth: 1, points: 3)
        let layout = LevelLayout([ValidSize(height: 2, width: 5)])
        let ramp = Tensor([1, 10, 2], (0..<10).flatMap { [Float($0), Float(-$0)] })
        let projections = Tensor([1, 1, 18], Array(repeating: 0, count: 12) + [1, 2, 3, -4, 0, 9])
        let sampled = sampling(
            value: ramp, layout: layout, projections: projections,
            references: Tensor([1, 1, 1, 2], [2.75 / 5, 1.0 / 2]))
        // Column 2.25 between rows 0 and 1: 2.25 + 5 / 2.
        #expect(relativeError(sampled, Tensor([1, 1, 2], [4.75, -4.75])) < 1e-6)
    }

    /// A head's points have no order: moved together with their logits they give the same sum, but for its rounding.
    @Test(arguments: [2, 4]) func pointsCanChangePlaces(referenceWidth: Int) {
        let test = SamplingCase(
            heads: 2, headWidth: 7, points: 5, sizes: [(6, 5), (3, 2)], queries: 9, referenceWidth: referenceWidth)
        var operands = test.operands(seed: 23)
        let original = operands.sampled(by: test.sampling)
        var random = SeededGenerator(seed: 24)
        let samples = 2 * 2 * 5
        operands.projections.withMutableElements { projections in
            for row in 0..<test.images * test.queries {
                for group in 0..<4 {
                    let order = (0..<5).shuffled(using: &random)
                    let (offsets, logits) = (
                        row * 3 * samples + group * 10, row * 3 * samples + 2 * samples + group * 5
                    )
                    let former = (0..<5).map { point in
                        (
                            projections[offsets + 2 * point], projections[offsets + 2 * point + 1],
                            projections[logits + point]
                        )
                    }
                    for (point, source) in order.enumerated() {
                        projections[offsets + 2 * point] = former[source].0
                        projections[offsets + 2 * point + 1] = former[source].1
                        projections[logits + point] = former[source].2
                    }
                }
            }
        }
        #expect(relativeError(operands.sampled(by: test.sampling), original) < 1e-6)
    }

    /// An offset from the left edge of a row of four ones, and what remains of a sample there.
    static let borders: [(offset: Float, expected: Float)] = [
        (0, 0.5), (-0.25, 0.25), (-0.5, 0), (-1e9, 0), (.infinity, 0), (-.infinity, 0), (.nan, 0), (0.5, 1), (3.5, 1),
        (4, 0.5), (4.5, 0), (1e30, 0), (-.greatestFiniteMagnitude, 0), (.greatestFiniteMagnitude, 0), (0x1p63, 0),
    ]

    /// Zero beyond the border: half of a sample on the border's edge is lost, and nothing is left half a pixel outside.
    @Test(arguments: borders)
    func bordersAndWildLocations(offset: Float, expected: Float) {
        let sampling = DeformableSampling(heads: 1, headWidth: 1, points: 1)
        let layout = LevelLayout([ValidSize(height: 1, width: 4)])
        let references = Tensor([1, 1, 1, 2], [0, 0.5])
        let sampled = sampling(
            value: Tensor([1, 4, 1], repeating: 1), layout: layout, projections: Tensor([1, 1, 3], [offset, 0, 0]),
            references: references)
        #expect(abs(sampled.elements[0] - expected) < 1e-6)
    }
}
