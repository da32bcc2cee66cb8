import Checkpoint
import DeformableAttention
import Foundation
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

    @Test(arguments: [
        "points-2d", "boxes-4d", "masked-batch", "masked-boxes-4d", "far-outside", "one-head-one-point", "odd-channels",
        "wide-head",
    ])
    func agreesWithTransformers(name: String) throws {
        let file = try WeightFile.open(Fixture.path("\(name).safetensors"))
        let text = try #require(file.metadata["configuration"])
        let configuration = try JSONDecoder().decode(Configuration.self, from: Data(text.utf8))
        let layout = LevelLayout(configuration.level_sizes.map { ValidSize(height: $0[0], width: $0[1]) })
        let attention = try MultiScaleDeformableAttention(
            WeightCursor(file), width: configuration.d_model, heads: configuration.heads, levels: layout.levels,
            points: configuration.points)
        let value = try file.tensor("value")
        let source = FeatureSequence(
            values: value, layout: layout, validSizes: try validSizes(in: file, layout: layout, images: value.shape[0]))
        let query = try file.tensor("query")
        let references = try file.tensor("reference_points")

        let sampled = attention.sample(query: query, references: references, source: source)
        #expect(relativeError(sampled, try file.tensor("expected.sampled")) < 1e-5)
        let output = attention(query: query, references: references, source: source)
        #expect(relativeError(output, try file.tensor("expected.output")) < 1e-5)
        let residual = Tensor(output.shape, repeating: 2)
        let sum = attention(query: query, references: references, source: source, addingTo: residual)
        #expect(relativeError(sum, Tensor(output.shape, output.elements.map { $0 + 2 })) < 1e-6)
    }

    /// The part of each level that the file's mask leaves, per image.
    private func validSizes(in file: WeightFile, layout: LevelLayout, images: Int) throws -> [[ValidSize]] {
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
