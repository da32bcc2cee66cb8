import Checkpoint
import DeformableAttention
import Layers
import TestSupport
import Tensors
import Testing

/// The whole module against transformers' `DeformableDetrMultiscaleDeformableAttention`.
///
/// Made by `tools/golden_deformable_attention.py` (transformers 5.23.0, torch 2.15.0) in float64, all parameters random.
@Suite struct GoldenAttentionTests {
    private struct Configuration: Decodable {
        let d_model: Int
        let heads: Int
        let points: Int
        let level_sizes: [[Int]]
    }

    private static let names = [
        "points-2d", "boxes-4d", "masked-batch", "masked-boxes-4d", "far-outside", "one-head-one-point", "odd-channels",
        "wide-head", "one-level-boxes", "one-head-masked", "far-outside-boxes", "one-pixel-levels",
        "odd-channels-masked-boxes", "wide-heads",
    ]

    /// A golden file's module and inputs.
    private struct Case {
        let file: WeightFile
        let attention: MultiScaleDeformableAttention
        let query: Tensor
        let references: Tensor
        let source: FeatureSequence

        init(_ name: String) throws {
            let configuration: Configuration
            (file, configuration) = try Fixture.open("\(name).safetensors", configuration: Configuration.self)
            let layout = LevelLayout(configuration.level_sizes.map { ValidSize(height: $0[0], width: $0[1]) })
            attention = try MultiScaleDeformableAttention(
                WeightCursor(file), width: configuration.d_model, heads: configuration.heads, levels: layout.levels,
                points: configuration.points)
            let value = try file.tensor("value")
            source = FeatureSequence(
                values: value, layout: layout,
                validSizes: try Self.validSizes(in: file, layout: layout, images: value.shape[0]))
            query = try file.tensor("query")
            references = try file.tensor("reference_points")
        }

        /// The part of each level that the file's mask leaves, per image.
        private static func validSizes(in file: WeightFile, layout: LevelLayout, images: Int) throws -> [[ValidSize]] {
            guard file.entry(named: "mask") != nil else { return Array(repeating: layout.sizes, count: images) }
            let mask = try file.tensor("mask").elements
            return (0..<images).map { image in
                layout.sizes.enumerated().map { level, size in
                    let start = image * layout.count + layout.starts[level]
                    return ValidSize(
                        height: (0..<size.height).count { mask[start + $0 * size.width] == 1 },
                        width: (0..<size.width).count { mask[start + $0] == 1 })
                }
            }
        }
    }

    /// Single against double precision.
    @Test(arguments: names) func agreesWithTransformers(name: String) throws {
        let test = try Case(name)
        let sampled = test.attention.sample(query: test.query, references: test.references, source: test.source)
        #expect(relativeError(sampled, try test.file.tensor("expected.sampled")) < 1e-5)
        let output = try test.attention(query: test.query, references: test.references, source: test.source)
        #expect(relativeError(output, try test.file.tensor("expected.output")) < 1e-5)
        let residual = Tensor(output.shape, repeating: 2)
        let sum = try test.attention(
            query: test.query, references: test.references, source: test.source, addingTo: residual)
        #expect(relativeError(sum, Tensor(output.shape, output.elements.map { $0 + 2 })) < 1e-6)
    }

    /// Every gradient against PyTorch's autograd in double precision.
    @Test(arguments: names) func gradientsAgreeWithPyTorch(name: String) throws {
        let test = try Case(name)
        let (output, pullback) = try test.attention.withPullback(
            query: test.query, references: test.references, source: test.source)
        #expect(relativeError(output, try test.file.tensor("expected.output")) < 1e-5)
        var gradients = Gradients()
        let inputs = pullback(try test.file.tensor("output_gradient"), &gradients)
        func check(_ gradient: Tensor, _ name: String) throws {
            let expected = try test.file.tensor("expected.gradient.\(name)")
            #expect(relativeError(gradient, expected) < 1e-5, "\(name)")
        }
        try check(inputs.query, "query")
        try check(inputs.references, "reference_points")
        try check(inputs.source, "value")
        #expect(gradients.names.count == 8)
        for name in gradients.names { try check(try #require(gradients[name]), name) }
    }
}
