import DeformableAttention
import TestSupport
import Testing

/// Random operands of a sampler.
struct SamplingCase: Sendable, CustomTestStringConvertible {
    var images = 2
    var heads = 8
    var headWidth = 32
    var points = 4
    var sizes = [(13, 17), (7, 9), (4, 5), (2, 3)]
    var queries = 50
    var referenceWidth = 2
    var offsetRange: ClosedRange<Float> = -6...6

    /// Odd sizes, one pixel, one head, one point, several levels, points and boxes, far outside.
    static let all = [
        SamplingCase(), SamplingCase(referenceWidth: 4), SamplingCase(heads: 1, points: 1, sizes: [(1, 1)]),
        SamplingCase(heads: 3, headWidth: 5, points: 2, sizes: [(6, 1), (1, 8)]),
        SamplingCase(heads: 2, headWidth: 48, points: 3, sizes: [(5, 7)], referenceWidth: 4),
        SamplingCase(heads: 2, headWidth: 16, sizes: [(9, 4), (3, 3)], offsetRange: -300...300),
        SamplingCase(images: 1, heads: 1, headWidth: 71, points: 5, queries: 1),
        SamplingCase(images: 3, heads: 2, headWidth: 1, points: 3, sizes: [(1, 1), (2, 1), (1, 1)], queries: 7),
    ]

    var testDescription: String {
        "\(images) images, \(heads) heads of \(headWidth), \(points) points, levels \(sizes),"
            + " references of \(referenceWidth), offsets \(offsetRange)"
    }

    var sampling: DeformableSampling { DeformableSampling(heads: heads, headWidth: headWidth, points: points) }

    var layout: LevelLayout { LevelLayout(sizes.map { ValidSize(height: $0.0, width: $0.1) }) }

    func operands(seed: UInt64) -> SamplingOperands {
        var random = SeededGenerator(seed: seed)
        let samples = heads * layout.levels * points
        let offsets = random.tensor([images * queries, 2 * samples], in: offsetRange).elements
        let logits = random.tensor([images * queries, samples], in: -4...4).elements
        var rows: [Float] = []
        for row in 0..<images * queries {
            rows += offsets[row * 2 * samples..<(row + 1) * 2 * samples]
            rows += logits[row * samples..<(row + 1) * samples]
        }
        return SamplingOperands(
            value: random.tensor([images, layout.count, heads * headWidth]), layout: layout,
            projections: Tensor([images, queries, 3 * samples], rows),
            references: random.tensor([images, queries, layout.levels, referenceWidth], in: 0...1))
    }
}

/// What a sampler takes.
struct SamplingOperands {
    var value: Tensor
    var layout: LevelLayout
    var projections: Tensor
    var references: Tensor

    func sampled(by sampling: DeformableSampling) -> Tensor {
        sampling(value: value, layout: layout, projections: projections, references: references)
    }

    func pullback(of sampling: DeformableSampling) -> (Tensor) -> DeformableSampling.InputGradients {
        sampling.withPullback(value: value, layout: layout, projections: projections, references: references).pullback
    }
}
