import Checkpoint
import DeformableAttention
import Layers
import Tensors

/// The deformable transformer decoder: queries attend to each other, then to a few locations of the memory.
///
/// - Source: `DeformableTransformerDecoder` in `models/deformable_transformer.py` of fundamentalvision/Deformable-DETR.
struct Decoder: Sendable {
    let layers: [DecoderLayer]
    /// Whether each layer's box head moves the references that the next layer sees.
    let refinesReferences: Bool

    /// What one layer produced.
    struct LayerOutput: Sendable {
        /// `[N, Q, C]`
        let hidden: Tensor
        /// The references that entered the layer: `[N, Q, 2]` points or `[N, Q, 4]` boxes.
        let references: Tensor
        /// What the cross-attention was asked, `[N, Q, C]`.
        let crossQuery: Tensor
    }

    /// Reads `layers.0`, `layers.1`, ... under `cursor`.
    init(_ cursor: WeightCursor, configuration: Configuration, precision: ComputePrecision) throws {
        layers = try (0..<configuration.decoderLayers).map {
            try DecoderLayer(cursor["layers"][$0], configuration: configuration, precision: precision)
        }
        refinesReferences = configuration.refinement
    }

    /// - Parameters:
    ///   - queries: where to start.
    ///   - memory: the encoder's output.
    ///   - heads: one a layer.
    /// - Returns: one output a layer.
    func callAsFunction(
        _ queries: ObjectQueries, memory: FeatureSequence, heads: [PredictionHead]
    ) -> [LayerOutput] {
        var target = queries.target
        var references = queries.references
        // For the value projections of all layers.
        let memoryFactor = layers.first.map { $0.crossAttention.factor(memory.values) }
        return layers.enumerated().map { index, layer in
            let crossQuery: Tensor
            (target, crossQuery) = layer(
                target, position: queries.position, references: ReferencePoints.inLevels(references, of: memory),
                memory: memory, memoryFactor: memoryFactor)
            let output = LayerOutput(hidden: target, references: references, crossQuery: crossQuery)
            if refinesReferences && index + 1 < layers.count {
                references = ReferencePoints.refine(references, by: heads[index].boxes(target))
            }
            return output
        }
    }

    /// Where the last layer looked.
    ///
    /// - Parameters:
    ///   - output: the last layer's.
    ///   - memory: what it looked at.
    func lastAttention(of output: LayerOutput, memory: FeatureSequence) -> DecoderAttention {
        guard let last = layers.last else { preconditionFailure("a decoder without layers") }
        let sampling = last.crossAttention.locations(
            query: output.crossQuery, references: ReferencePoints.inLevels(output.references, of: memory),
            layout: memory.layout)
        return DecoderAttention(sampling, references: output.references, memory: memory)
    }
}

/// Self-attention, deformable cross-attention, feed-forward; each with its residual, then LayerNorm.
///
/// The checkpoints number the norms after another order: norm2 follows self-attention, norm1 cross-attention.
struct DecoderLayer: Sendable {
    let selfAttention: MultiHeadAttention
    let norm2: LayerNorm
    let crossAttention: MultiScaleDeformableAttention
    let norm1: LayerNorm
    let feedForward: FeedForward
    let norm3: LayerNorm

    init(_ cursor: WeightCursor, configuration: Configuration, precision: ComputePrecision) throws {
        let width = configuration.modelWidth
        // Few queries take little time in any precision; the memory that they look at is large.
        let queryPrecision = precision.withoutInt8
        selfAttention = try MultiHeadAttention(
            cursor["self_attn"], width: width, heads: configuration.heads, precision: queryPrecision)
        norm2 = try LayerNorm(cursor["norm2"], width: width)
        crossAttention = try MultiScaleDeformableAttention(
            cursor["cross_attn"], width: width, heads: configuration.heads, levels: configuration.levels,
            points: configuration.decoderPoints, precision: precision, queryPrecision: queryPrecision)
        norm1 = try LayerNorm(cursor["norm1"], width: width)
        feedForward = try FeedForward(
            cursor, width: width, hiddenWidth: configuration.feedForwardWidth, precision: queryPrecision)
        norm3 = try LayerNorm(cursor["norm3"], width: width)
    }

    /// - Parameters:
    ///   - target: `[N, Q, C]`.
    ///   - position: `[N, Q, C]`.
    ///   - references: `[N, Q, L, 2 or 4]`.
    ///   - memoryFactor: the memory's values as a factor.
    /// - Returns: the layer's output and its cross-attention's query, `[N, Q, C]` each.
    func callAsFunction(
        _ target: Tensor, position: Tensor, references: Tensor, memory: FeatureSequence, memoryFactor: Factor?
    ) -> (hidden: Tensor, crossQuery: Tensor) {
        let attended = selfAttention(query: target.adding(position), target: target, addingTo: target)
        let (normalized, query) = norm2(attended, adding: position)
        let sampled = crossAttention.sample(
            query: query, references: references, source: memory, factor: memoryFactor)
        let crossed = crossAttention.project(sampled, addingTo: normalized)
        return (norm3(feedForward(norm1(crossed))), query)
    }
}
