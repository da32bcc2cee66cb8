import Backbone
import Checkpoint
import DeformDETR
import Layers
import TestSupport
import Tensors
import Testing

/// Tiny models of every variant against transformers: every tensor that `--dump` writes.
///
/// Made by `tools/golden_model.py` (transformers 5.23.0, torch 2.15.0, timm 1.0.31) in float64, all parameters random.
@Suite struct GoldenModelTests {
    /// A golden file: the weights under the authors' names, an input, and what is expected.
    struct Golden {
        let file: WeightFile
        let configuration: Configuration

        init(_ name: String) throws {
            let fields: Fields
            (file, fields) = try Fixture.open("\(name).safetensors", configuration: Fields.self)
            configuration = fields.configuration
        }

        func model() throws -> DeformableDETR {
            try DeformableDETR(WeightCursor(file), configuration: configuration)
        }

        /// The images of the batch, cut out of their padding: `[1, h, w, 3]` each.
        func images() throws -> [Tensor] {
            let pixels = try file.tensor("input.pixel_values")
            let (count, height, width) = (pixels.shape[0], pixels.shape[2], pixels.shape[3])
            let values = pixels.elements
            let mask =
                file.entry(named: "input.pixel_mask") == nil
                ? [Float](repeating: 1, count: count * height * width) : try file.tensor("input.pixel_mask").elements
            return (0..<count).map { image in
                let start = image * height * width
                let imageHeight = (0..<height).count { mask[start + $0 * width] == 1 }
                let imageWidth = (0..<width).count { mask[start + $0] == 1 }
                return Tensor([1, imageHeight, imageWidth, 3]) { output in
                    for row in 0..<imageHeight {
                        for column in 0..<imageWidth {
                            for channel in 0..<3 {
                                output[(row * imageWidth + column) * 3 + channel] =
                                    values[((image * 3 + channel) * height + row) * width + column]
                            }
                        }
                    }
                }
            }
        }
    }

    /// transformers' configuration fields.
    private struct Fields: Decodable {
        struct Narrow: Decodable {
            let block: ResNetConfiguration.Block
            let stem: Int
            let widths: [Int]
            let depths: [Int]
        }
        let d_model, encoder_layers, decoder_layers, encoder_attention_heads, encoder_ffn_dim: Int
        let encoder_n_points, decoder_n_points, num_feature_levels, num_queries, num_labels: Int
        let two_stage, with_box_refine, dilation: Bool
        let backbone: Narrow

        var configuration: Configuration {
            var result = Configuration()
            result.backbone = ResNetConfiguration(
                block: backbone.block, depths: backbone.depths, stemWidth: backbone.stem, widths: backbone.widths,
                dilatesLastStage: dilation)
            result.featureTaps = num_feature_levels == 1 ? 1 : 3
            result.modelWidth = d_model
            result.heads = encoder_attention_heads
            result.encoderLayers = encoder_layers
            result.decoderLayers = decoder_layers
            result.levels = num_feature_levels
            result.encoderPoints = encoder_n_points
            result.decoderPoints = decoder_n_points
            result.feedForwardWidth = encoder_ffn_dim
            result.queries = num_queries
            result.classes = num_labels
            result.refinement = with_box_refine
            result.twoStage = two_stage
            result.sharesHeads = !with_box_refine
            return result
        }
    }

    static let names = [
        "base-bottleneck", "three-levels-basic", "five-levels-basic", "wide-one-class", "single-scale",
        "single-scale-dc5", "refine", "two-stage",
    ]

    /// `Configuration.tensors`, which a checkpoint is compared with when it is opened, are those that the layers read.
    @Test(arguments: names + ["padded-batch", "padded-batch-two-stage"])
    func configurationAndLayersNameTheSameTensors(name: String) throws {
        let golden = try Golden(name)
        var tensors = TensorDictionary()
        for tensor in golden.configuration.tensors { tensors[tensor.name] = try golden.file.tensor(tensor.name) }
        let cursor = WeightCursor(tensors)
        _ = try DeformableDETR(cursor, configuration: golden.configuration)
        try cursor.requireAllUsed()
    }

    @Test(arguments: names) func everyTensorAgrees(name: String) throws {
        let golden = try Golden(name)
        var recorded: [String: Tensor] = [:]
        _ = try golden.model()(ImageBatch(golden.images())) { recorded[$0] = $1 }
        let expected = golden.file.names.filter { $0.hasPrefix("expected.") }
        #expect(expected.count == golden.configuration.levels + 4)
        for name in expected {
            let actual = try #require(recorded[String(name.dropFirst("expected.".count))])
            #expect(relativeError(actual, try golden.file.tensor(name)) < 2e-5, "\(name)")
        }
    }

    /// A padded batch as the reference computes it, where padding shows through convolutions and norms.
    @Test(arguments: ["padded-batch", "padded-batch-two-stage"]) func paddedBatchAsInReference(name: String) throws {
        let golden = try Golden(name)
        var recorded: [String: Tensor] = [:]
        _ = try golden.model()(ImageBatch(golden.images(), paddingRule: .asInReference)) { recorded[$0] = $1 }
        for name in ["feature.0", "feature.1", "feature.2", "feature.3", "hidden", "logits", "pred_boxes"] {
            let actual = try #require(recorded[name])
            let expected = try golden.file.tensor("expected.\(name)")
            // The coarsest level has two pixels: a norm over two values enlarges the convolution's rounding.
            #expect(relativeError(actual, expected) < 1e-4, "\(name)")
        }
    }

    /// By default padding does not show: each image of a batch gets what it gets alone.
    @Test(arguments: ["padded-batch", "padded-batch-two-stage"]) func paddedBatchAsAlone(name: String) throws {
        let golden = try Golden(name)
        let model = try golden.model()
        let images = try golden.images()
        let together = try model(ImageBatch(images))
        let reference = try model(ImageBatch(images, paddingRule: .asInReference))
        for (index, image) in images.enumerated() {
            let alone = try model(ImageBatch([image]))
            #expect(relativeError(together.logits.rows(index..<index + 1), alone.logits) < 1e-4)
            #expect(relativeError(together.boxes.rows(index..<index + 1), alone.boxes) < 1e-4)
        }
        #expect(relativeError(reference.logits, together.logits) > 1e-3, "the two rules should differ")
    }
}
