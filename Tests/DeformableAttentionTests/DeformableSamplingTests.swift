import DeformableAttention
import Layers
import TestSupport
import Tensors
import Testing

/// The fast sampler against the plain one, which is the definition.
@Suite struct DeformableSamplingTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var heads = 8
        var headWidth = 32
        var points = 4
        var sizes = [(13, 17), (7, 9), (4, 5), (2, 3)]
        var queries = 50
        var referenceWidth = 2
        var offsetRange: ClosedRange<Float> = -6...6

        var testDescription: String {
            "\(heads) heads of \(headWidth), \(points) points, levels \(sizes), references of \(referenceWidth)"
        }
    }

    static let cases = [
        Case(), Case(referenceWidth: 4), Case(heads: 1, points: 1, sizes: [(1, 1)]),
        Case(heads: 3, headWidth: 5, points: 2, sizes: [(6, 1), (1, 8)]),
        Case(heads: 2, headWidth: 48, points: 3, sizes: [(5, 7)], referenceWidth: 4),
        Case(heads: 2, headWidth: 16, sizes: [(9, 4), (3, 3)], offsetRange: -300...300),
        Case(heads: 1, headWidth: 71, points: 5, queries: 1),
    ]

    func operands(_ test: Case, seed: UInt64) -> (
        value: Tensor, layout: LevelLayout, projections: Tensor, references: Tensor
    ) {
        var random = SeededGenerator(seed: seed)
        let layout = LevelLayout(test.sizes.map { ValidSize(height: $0.0, width: $0.1) })
        let samples = test.heads * layout.levels * test.points
        let offsets = random.tensor([2 * test.queries, 2 * samples], in: test.offsetRange)
        let logits = random.tensor([2 * test.queries, samples], in: -4...4)
        let projections = Tensor([2, test.queries, 3 * samples]) { output in
            for row in 0..<2 * test.queries {
                let start = row * 3 * samples
                _ = output[start..<start + 2 * samples].update(fromContentsOf: offsets.rows(row..<row + 1).elements)
                _ = output[start + 2 * samples..<start + 3 * samples]
                    .update(fromContentsOf: logits.rows(row..<row + 1).elements)
            }
        }
        return (
            random.tensor([2, layout.count, test.heads * test.headWidth]), layout, projections,
            random.tensor([2, test.queries, layout.levels, test.referenceWidth], in: 0...1)
        )
    }

    @Test(arguments: cases) func agreesWithTheDefinition(test: Case) {
        let sampling = DeformableSampling(heads: test.heads, headWidth: test.headWidth, points: test.points)
        let (value, layout, projections, references) = operands(test, seed: 21)
        let fast = sampling(value: value, layout: layout, projections: projections, references: references)
        let plain = sampling.plain(value: value, layout: layout, projections: projections, references: references)
        #expect(relativeError(fast, plain) < 1e-5)
    }

    @Test func threadsDoNotChangeTheResult() {
        let sampling = DeformableSampling(heads: 8, headWidth: 32, points: 4)
        let (value, layout, projections, references) = operands(Case(), seed: 22)
        let results = [1, 2, 5].map { threads in
            Parallel.withThreadCount(threads) {
                sampling(value: value, layout: layout, projections: projections, references: references).elements
            }
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

    /// An offset from the left edge of a row of four ones, and what remains of a sample there.
    static let borders: [(offset: Float, expected: Float)] = [
        (0, 0.5), (-0.25, 0.25), (-0.5, 0), (-1e9, 0), (.infinity, 0), (-.infinity, 0), (.nan, 0), (0.5, 1), (3.5, 1),
        (4, 0.5), (4.5, 0), (1e30, 0),
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
