import DeformableAttention
import TestSupport
import Testing

/// Options that follow others as in the package, and impossible ones that no initialiser or property trips over.
@Suite struct ConfigurationTests {
    typealias Configuration = DeformableMultiHeadAttention.Configuration

    @Test func scaleAndGroupsFollowUnlessSet() throws {
        var configuration = Configuration(rank: 2, width: 64)
        #expect(configuration.offsetScale == [4, 4] && configuration.offsetGroups == 8)
        configuration.downsampling = [2, 2]
        configuration.offsetKernel = [4, 4]
        configuration.heads = 4
        #expect(configuration.offsetScale == [2, 2] && configuration.offsetGroups == 4)
        try configuration.validate()
        configuration.offsetScale = [3, 5]
        configuration.offsetGroups = 2
        configuration.downsampling = [4, 4]
        configuration.heads = 8
        #expect(configuration.offsetScale == [3, 5] && configuration.offsetGroups == 2)
    }

    @Test(arguments: [Int.min, -1, 0, 4, 1_000_000_000_000, .max]) func impossibleRanksAreNamed(rank: Int) {
        let error = #expect(throws: DeformableAttentionError.self) {
            try Configuration(rank: rank, width: 16).validate()
        }
        #expect(error?.localizedDescription.contains("rank \(rank)") == true)
    }

    @Test func theOptionAtFaultIsNamed() {
        var configuration = Configuration(rank: 2, width: 16)
        configuration.offsetKernel = [6, 0]
        #expect(throws: DeformableAttentionError.configuration("offsetKernel 0, expected 1...65536")) {
            try configuration.validate()
        }
        configuration.heads = .max
        #expect(throws: DeformableAttentionError.configuration("heads \(Int.max), expected 1...65536")) {
            try configuration.validate()
        }
    }

    /// Empty tensors whose shapes claim what no memory holds.
    @Test func monstrousEmptyShapesAreRefused() throws {
        var random = SeededGenerator(seed: 9)
        let parameters = try SingleScaleDeformableAttention.initialParameters(
            width: 16, heads: 2, points: 2, using: &random)
        let attention = try SingleScaleDeformableAttention(
            WeightCursor(parameters), width: 16, heads: 2, points: 2)
        for features: Shape in [[.max, 0, 5, 16], [0, .max / 2, 8, 16], [0, 1 << 40, 1 << 40, 16]] {
            #expect(throws: DeformableAttentionError.self) {
                try attention(
                    query: Tensor([features[0], 0, 16]), references: Tensor([features[0], 0, 2]),
                    features: Tensor(features))
            }
        }
        #expect(throws: DeformableAttentionError.self) {
            try FeatureSequence(
                values: Tensor([.max, 0, 16]), of: LevelLayout(levels: [ValidSize(height: 0, width: 0)]))
        }
    }
}
