import Backbone
import Checkpoint
import DeformableAttention
import Layers
import Tensors

/// Deformable DETR: normalised images in, class logits and boxes out, one of each for every object query.
///
/// - Source: "Deformable DETR: Deformable Transformers for End-to-End Object Detection" (arXiv 2010.04159);
///   `models/deformable_detr.py` of fundamentalvision/Deformable-DETR.
public struct DeformableDETR: Sendable {
    public let configuration: Configuration
    /// What its products are computed in.
    public let precision: ComputePrecision
    let backbone: ResNet
    let inputProjection: InputProjection
    /// `[L, C]`
    let levelEmbedding: Tensor
    /// The checkpoint's name of it.
    let levelEmbeddingName: String
    let encoder: Encoder
    let decoder: Decoder
    let queries: QuerySource
    /// One a decoder layer; the layers of the base variant share theirs.
    let heads: [PredictionHead]

    enum QuerySource {
        case learned(LearnedQueries)
        case proposed(ProposedQueries)
    }

    /// What the network says about a batch.
    public struct Output: Sendable {
        /// `[N, Q, classes]`
        public let logits: Tensor
        /// `[N, Q, 4]`, cxcywh in 0...1 of each image.
        public let boxes: Tensor
        /// How long each part took.
        public let times: StageTimes
    }

    /// Wall-clock times of the network's parts.
    public struct StageTimes: Sendable, Hashable {
        public var backbone: Duration = .zero
        /// Input projections, position encoding and encoder layers.
        public var encoder: Duration = .zero
        /// Queries, decoder layers and heads.
        public var decoder: Duration = .zero

        public var network: Duration { backbone + encoder + decoder }
    }

    /// Receives intermediate tensors by the names of `--dump`: `pixel_values [N, 3, H, W]`, `feature.l [N, C, h, w]`,
    /// `memory [N, S, C]`, `hidden [layers, N, Q, C]`, `logits [N, Q, classes]`, `pred_boxes [N, Q, 4]`.
    public typealias Recorder = (_ name: String, _ value: Tensor) -> Void

    /// Reads a checkpoint's tensors by their canonical names.
    ///
    /// - Parameters:
    ///   - normalization: of the backbone. The published training, like inference, has it frozen.
    ///   - precision: of the products of backbone, input projections, encoder and decoder. What proposes, refines and
    ///     predicts boxes computes in float32. For int8 the checkpoint must have the ranges of activations, as ``ModelFile``
    ///     writes them.
    /// - Throws: `CheckpointError` when a tensor is missing or has another shape.
    public init(
        _ cursor: WeightCursor, configuration: Configuration, normalization: Normalization = .frozen,
        precision: ComputePrecision = .float32
    ) throws {
        self.configuration = configuration
        self.precision = precision
        let transformer = cursor["transformer"]
        let width = configuration.modelWidth
        backbone = try ResNet(
            cursor["backbone"][0]["body"], configuration: configuration.backbone, normalization: normalization,
            precision: precision)
        inputProjection = try InputProjection(cursor, configuration: configuration, precision: precision)
        levelEmbeddingName = transformer.path + ".level_embed"
        levelEmbedding = try transformer.tensor("level_embed", [configuration.levels, width])
        encoder = try Encoder(transformer["encoder"], configuration: configuration, precision: precision)
        decoder = try Decoder(transformer["decoder"], configuration: configuration, precision: precision)

        // One for all layers, or one each; the encoder's own comes after the decoder layers'.
        let heads = try (0..<configuration.headCount).map {
            try PredictionHead(cursor, index: $0, configuration: configuration)
        }
        if configuration.twoStage {
            guard let encoderHead = heads.last else { preconditionFailure("a two-stage model without heads") }
            queries = .proposed(
                try ProposedQueries(transformer, configuration: configuration, head: encoderHead))
        } else {
            queries = .learned(try LearnedQueries(cursor, configuration: configuration))
        }
        self.heads = configuration.sharesHeads ? heads.repeated(configuration.decoderLayers) : heads
    }

    /// Runs the network.
    ///
    /// - Parameters:
    ///   - batch: `[N, H, W, 3]` with its padding.
    ///   - record: see ``Recorder``; costs copies.
    /// - Throws: ``DetectorError`` when a two-stage model finds fewer locations in an image than it has queries.
    public func callAsFunction(_ batch: ImageBatch, record: Recorder? = nil) throws -> Output {
        try pass(batch, record: record).output
    }

    /// Runs the network as ``callAsFunction(_:record:)`` does, and says where its last decoder layer looked.
    public func withAttention(
        _ batch: ImageBatch, record: Recorder? = nil
    ) throws -> (output: Output, attention: DecoderAttention) {
        let pass = try pass(batch, record: record)
        return (pass.output, decoder.lastAttention(of: pass.lastLayer, memory: pass.memory))
    }

    /// A batch's way through the network.
    private struct Pass {
        let output: Output
        let lastLayer: Decoder.LayerOutput
        let memory: FeatureSequence
    }

    private func pass(_ batch: ImageBatch, record: Recorder?) throws -> Pass {
        var times = StageTimes()
        let clock = ContinuousClock()
        var mark = clock.now
        func lap() -> Duration {
            let now = clock.now
            defer { mark = now }
            return now - mark
        }

        record?("pixel_values", batch.pixels.values.channelsFirst())
        let features = backbone.factors(
            of: batch.backboneInput, taps: configuration.featureTaps, last: inputProjection.lastInput)
        times.backbone = lap()

        let sequence = inputProjection(features, of: batch)
        if let record {
            for level in 0..<configuration.levels {
                record("feature.\(level)", sequence.values.map(ofLevel: level, in: sequence.layout).channelsFirst())
            }
        }
        let positions = sequence.validSizes.map {
            PositionEncoding.Locations(layout: sequence.layout, validSizes: $0, levelEmbedding: levelEmbedding)
        }
        let memory = encoder(consume sequence, positions: positions)
        times.encoder = lap()
        record?("memory", memory.values)

        let start =
            switch queries {
            case .learned(let learned): learned(images: batch.images)
            case .proposed(let proposed): try proposed(memory, paddingRule: batch.paddingRule)
            }
        let layers = decoder(start, memory: memory, heads: heads)
        record?("hidden", .stacking(layers.map(\.hidden)))
        guard let last = layers.last else { preconditionFailure("a decoder without layers") }
        let predictions = heads[layers.count - 1](last.hidden, references: last.references)
        times.decoder = lap()
        record?("logits", predictions.logits)
        record?("pred_boxes", predictions.boxes)
        return Pass(
            output: Output(logits: predictions.logits, boxes: predictions.boxes, times: times), lastLayer: last,
            memory: memory)
    }
}

extension Tensor {
    /// Tensors of one shape along a new first axis.
    fileprivate static func stacking(_ tensors: [Tensor]) -> Tensor {
        let shape = tensors.first?.shape ?? []
        precondition(tensors.allSatisfy { $0.shape == shape }, "cannot stack \(tensors.map(\.shape))")
        return Tensor(Shape([tensors.count] + shape.dimensions)) { output in
            for (index, tensor) in tensors.enumerated() {
                tensor.withElements {
                    _ = output[index * $0.count..<(index + 1) * $0.count].update(fromContentsOf: $0)
                }
            }
        }
    }
}

extension Array {
    /// An array of one element, as often as there are layers that share it.
    fileprivate func repeated(_ count: Int) -> [Element] {
        (0..<count).flatMap { _ in self }
    }
}
