import Checkpoint
import DeformableAttention
import TestSupport
import Tensors
import Testing

/// A module with random parameters and a random input: what the tests of the grid attention start from.
struct GridAttentionSetting {
    typealias Configuration = DeformableMultiHeadAttention.Configuration

    let configuration: Configuration
    var parameters: TensorDictionary
    let input: Tensor

    /// - Parameters:
    ///   - extents: of the map, outermost axis first.
    ///   - gain: how much larger the parameters are than fresh ones, so that offsets and biases matter.
    init(_ configuration: Configuration, extents: [Int], images: Int = 2, gain: Float = 2, seed: UInt64) throws {
        self.configuration = configuration
        var random = SeededGenerator(seed: seed)
        let fresh = try DeformableMultiHeadAttention.initialParameters(configuration: configuration, using: &random)
        parameters = TensorDictionary()
        for name in fresh.names {
            let tensor = try fresh.tensor(name)
            let factor = name.hasSuffix("scale") ? 1 : gain
            parameters[name] = Tensor(tensor.shape, tensor.elements.map { $0 * factor })
        }
        input = random.tensor(Shape([images] + extents + [configuration.width]))
    }

    func attention() throws -> DeformableMultiHeadAttention {
        try DeformableMultiHeadAttention(WeightCursor(parameters), configuration: configuration)
    }

    /// Few channels, so that the plain version is quick, and offsets that leave most samples in a small map, so that outputs
    /// depend on what is sampled; everything else the package's default.
    static func configuration(
        rank: Int, width: Int = 32, heads: Int = 4, headWidth: Int = 5, groups: Int = 4,
        _ change: (inout Configuration) -> Void = { _ in }
    ) -> Configuration {
        var configuration = Configuration(rank: rank, width: width)
        configuration.heads = heads
        configuration.headWidth = headWidth
        configuration.offsetGroups = groups
        configuration.offsetScale = Array(repeating: 0.5, count: rank)
        change(&configuration)
        return configuration
    }
}

/// A configuration with the map that it is tried on.
struct GridAttentionCase: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var configuration: DeformableMultiHeadAttention.Configuration
    var extents: [Int]

    private init(
        _ description: String, extents: [Int], width: Int = 32, heads: Int = 4, headWidth: Int = 5, groups: Int = 4,
        _ change: (inout DeformableMultiHeadAttention.Configuration) -> Void = { _ in }
    ) {
        testDescription = description
        self.extents = extents
        configuration = GridAttentionSetting.configuration(
            rank: extents.count, width: width, heads: heads, headWidth: headWidth, groups: groups, change)
    }

    static let all = [
        Self("1-D", extents: [17]),
        Self("1-D, far offsets", extents: [24]) { $0.offsetScale = [4] },
        Self("1-D, plain distance, groups fewer than heads", extents: [13], groups: 2) { $0.usesLogDistance = false },
        Self("1-D, one sample", extents: [5], groups: 1),
        Self("1-D, ungrouped, kernel as wide as the step, wide head", extents: [9], width: 20, headWidth: 17) {
            $0.groupsQueries = false
            $0.groupsKeysAndValues = false
            $0.downsampling = [2]
            $0.offsetKernel = [2]
        },
        Self("2-D, square", extents: [8, 8]),
        Self("2-D, not square", extents: [9, 14], groups: 2),
        Self("2-D, not square, corrected", extents: [9, 14], groups: 2) { $0.geometry = .corrected },
        Self("2-D, one row of samples", extents: [4, 13]) { $0.groupsQueries = false },
        Self("2-D, one sample, one head", extents: [5, 6], heads: 1, groups: 1) { $0.offsetScale = [0.1, 0.1] },
        Self("2-D, kernels, steps and scales of each axis", extents: [7, 8], groups: 2) {
            $0.downsampling = [2, 3]
            $0.offsetKernel = [4, 9]
            $0.offsetScale = [0.4, 1.2]
            $0.groupsKeysAndValues = false
        },
        Self("2-D, every position a sample", extents: [3, 5], width: 16, headWidth: 16, groups: 1) {
            $0.downsampling = [1, 1]
            $0.offsetKernel = [3, 1]
        },
        Self("3-D", extents: [4, 9, 8], heads: 2, groups: 2),
        Self("3-D, kernels, steps and scales of each axis", extents: [3, 8, 5], groups: 2) {
            $0.downsampling = [1, 4, 2]
            $0.offsetKernel = [3, 6, 2]
            $0.offsetScale = [0.5, 0.9, 1.3]
        },
        Self("3-D, corrected", extents: [3, 8, 5], groups: 2) {
            $0.downsampling = [1, 4, 2]
            $0.offsetKernel = [3, 6, 4]
            $0.geometry = .corrected
        },
        Self("3-D, ungrouped, one frame of samples", extents: [2, 5, 7], groups: 1) {
            $0.groupsQueries = false
            $0.groupsKeysAndValues = false
            $0.downsampling = [2, 2, 2]
            $0.offsetKernel = [4, 4, 6]
        },
    ]
}
