import DeformableAttention
import TestSupport
import Testing

/// Extents and shapes that cannot be: typed errors that say what disagrees, before anything is read.
@Suite struct MultiScaleInputTests {
    static let impossible: [(extents: [Int], problem: String)] = [
        ([0, 1, 1, 1], "must lie in"), ([8, 0, 1, 1], "must lie in"), ([8, 2, 0, 1], "must lie in"),
        ([8, 2, 1, -1], "must lie in"), ([.max, 2, 1, 1], "must lie in"), ([8, 2, .max, .max], "must lie in"),
        ([8, 3, 1, 1], "8 channels cannot be shared evenly by 3 heads"),
        ([8, 2, 4, 65], "4 levels with 65 points are 260 samples a head, expected at most 256"),
    ]

    @Test(arguments: impossible) func impossibleExtentsThrow(extents: [Int], problem: String) {
        let (width, heads, levels, points) = (extents[0], extents[1], extents[2], extents[3])
        let error = #expect(throws: DeformableAttentionError.self) {
            try MultiScaleDeformableAttention(
                WeightCursor(TensorDictionary()), width: width, heads: heads, levels: levels, points: points)
        }
        #expect(error?.description.contains(problem) == true)
        var random = SeededGenerator(seed: 51)
        let initial = #expect(throws: DeformableAttentionError.self) {
            try MultiScaleDeformableAttention.initialParameters(
                width: width, heads: heads, levels: levels, points: points, using: &random)
        }
        #expect(initial == error)
    }

    /// The largest number of samples that a head may take does take them.
    @Test func mostSamples() throws {
        var random = SeededGenerator(seed: 52)
        let parameters = try SingleScaleDeformableAttention.initialParameters(
            width: 4, heads: 2, points: DeformableSampling.maximumSamples, using: &random)
        let attention = try SingleScaleDeformableAttention(
            WeightCursor(parameters), width: 4, heads: 2, points: DeformableSampling.maximumSamples)
        var gradients = Gradients()
        let (output, pullback) = try attention.withPullback(
            query: random.tensor([1, 2, 4]), references: random.tensor([1, 2, 2], in: 0...1),
            features: random.tensor([1, 300, 300, 4]))
        let inputs = pullback(Tensor(output.shape, repeating: 1), &gradients)
        #expect(inputs.query.elements.allSatisfy { $0.isFinite } && output.elements.contains { $0 != 0 })
    }

    static let disagreeing: [(query: Shape, references: Shape, values: Shape, problem: String)] = [
        ([1, 3], [1, 3, 2, 2], [1, 8, 4], "query [1, 3], expected [N, Q, 4]"),
        ([1, 3, 5], [1, 3, 2, 2], [1, 8, 4], "query [1, 3, 5], expected [N, Q, 4]"),
        ([2, 3, 4], [2, 3, 2, 2], [1, 8, 4], "source [1, 8, 4], expected [2, 8, 4]"),
        ([1, 3, 4], [1, 3, 2, 2], [1, 8, 3], "source [1, 8, 3], expected [1, 8, 4]"),
        ([1, 3, 4], [1, 3, 2, 2], [1, 7, 4], "source [1, 7, 4], expected [1, 8, 4]"),
        ([1, 3, 4], [1, 3, 2, 3], [1, 8, 4], "references [1, 3, 2, 3], expected [1, 3, 2, 2 or 4]"),
        ([1, 3, 4], [1, 3, 1, 2], [1, 8, 4], "references [1, 3, 1, 2], expected [1, 3, 2, 2 or 4]"),
        ([1, 3, 4], [1, 2, 2, 2], [1, 8, 4], "references [1, 2, 2, 2], expected [1, 3, 2, 2 or 4]"),
        ([1, 3, 4], [1, 3, 4], [1, 8, 4], "references [1, 3, 4], expected [1, 3, 2, 2 or 4]"),
    ]

    @Test(arguments: disagreeing)
    func disagreeingShapesAreNamed(query: Shape, references: Shape, values: Shape, problem: String) throws {
        var random = SeededGenerator(seed: 53)
        let attention = try MultiScaleDeformableAttention(
            WeightCursor(
                MultiScaleDeformableAttention.initialParameters(
                    width: 4, heads: 2, levels: 2, points: 1, using: &random)),
            width: 4, heads: 2, levels: 2, points: 1)
        let layout = LevelLayout([ValidSize(height: 2, width: 3), ValidSize(height: 1, width: 2)])
        var source = FeatureSequence(values: Tensor([values[0], 8, 4]), layout: layout)
        source.values = Tensor(values)
        let error = #expect(throws: DeformableAttentionError.self) {
            _ = try attention(query: Tensor(query), references: Tensor(references), source: source)
        }
        #expect(error?.description.contains(problem) == true)
        let oneLevel = FeatureSequence(
            values: Tensor([1, 6, 4]), layout: LevelLayout([ValidSize(height: 2, width: 3)]))
        #expect(throws: DeformableAttentionError.input("source with 1 levels, expected 2")) {
            _ = try attention(query: Tensor([1, 3, 4]), references: Tensor([1, 3, 1, 2]), source: oneLevel)
        }
    }

    @Test func singleScaleNamesItsShapes() throws {
        var random = SeededGenerator(seed: 54)
        let attention = try SingleScaleDeformableAttention(
            WeightCursor(
                SingleScaleDeformableAttention.initialParameters(width: 4, heads: 2, points: 1, using: &random)),
            width: 4, heads: 2, points: 1)
        func problem(_ query: Shape, _ references: Shape, _ features: Shape) -> String? {
            do {
                _ = try attention(
                    query: Tensor(query), references: Tensor(references), features: Tensor(features))
                return nil
            } catch { return error.description }
        }
        #expect(problem([1, 3, 4], [1, 3, 2], [1, 5, 6, 4]) == nil)
        #expect(problem([1, 3, 4], [1, 3, 4], [1, 5, 6, 4])?.contains("references [1, 3, 4]") == true)
        #expect(problem([1, 3, 4], [1, 3, 2], [1, 30, 4])?.contains("features [1, 30, 4]") == true)
        #expect(
            problem([1, 3, 4], [1, 3, 2], [2, 5, 6, 4])?.contains("features [2, 5, 6, 4], expected [1, H, W, 4]")
                == true)
    }

    /// Levels and sequences of a caller's own making, and what the error names.
    @Test func impossibleLevelsAndSequencesThrow() throws {
        for sizes in [[(-1, 2)], [(.max, 2)], [(1, .max), (1, 1)]] {
            #expect(throws: DeformableAttentionError.self) {
                try LevelLayout(levels: sizes.map { ValidSize(height: $0.0, width: $0.1) })
            }
        }
        let layout = try LevelLayout(levels: [ValidSize(height: 2, width: 3)])
        func problem(_ values: Shape, _ validSizes: [[ValidSize]]?) -> String? {
            do {
                _ = try FeatureSequence(values: Tensor(values), of: layout, validSizes: validSizes)
                return nil
            } catch { return error.description }
        }
        let whole = [ValidSize(height: 2, width: 3)]
        #expect(problem([1, 6, 4], nil) == nil && problem([2, 6, 4], [whole, whole]) == nil)
        #expect(problem([1, 5, 4], nil)?.contains("values [1, 5, 4], expected [N, 6, C]") == true)
        #expect(problem([6, 4], nil)?.contains("values [6, 4]") == true)
        #expect(problem([2, 6, 4], [whole])?.contains("valid sizes of 1 images for values [2, 6, 4]") == true)
        #expect(problem([1, 6, 4], [[]])?.contains("of image 0") == true)
        #expect(problem([2, 6, 4], [whole, [ValidSize(height: 2, width: 4)]])?.contains("of image 1") == true)
    }

    /// What other parts of the package promise is checked as well: the process ends instead of reading what is not there.
    @Test func brokenPromisesEndTheProcess() async {
        await #expect(processExitsWith: .failure) {
            let layout = LevelLayout([ValidSize(height: 2, width: 3)])
            _ = DeformableSampling(heads: 2, headWidth: 2, points: 1)(
                value: Tensor([1, 6, 4]), layout: layout, projections: Tensor([1, 3, 6]),
                references: Tensor([1, 2, 1, 2]))
        }
        await #expect(processExitsWith: .failure) {
            let layout = LevelLayout([ValidSize(height: 2, width: 3)])
            let pullback = DeformableSampling(heads: 2, headWidth: 2, points: 1).withPullback(
                value: Tensor([1, 6, 4]), layout: layout, projections: Tensor([1, 3, 6]),
                references: Tensor([1, 3, 1, 2])
            ).pullback
            _ = pullback(Tensor([1, 2, 4]))
        }
    }
}
