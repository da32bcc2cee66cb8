import Checkpoint
import DeformableAttention
import Layers
import Tensors

/// The deformable transformer encoder: every location of every level attends to a few locations of all levels.
///
/// - Source: `DeformableTransformerEncoder` in `models/deformable_transformer.py` of fundamentalvision/Deformable-DETR.
struct Encoder: Sendable {
    let layers: [EncoderLayer]

    /// Reads `layers.0`, `layers.1`, ... under `cursor`.
    init(_ cursor: WeightCursor, configuration: Configuration, precision: ComputePrecision) throws {
        layers = try (0..<configuration.encoderLayers).map {
            try EncoderLayer(cursor["layers"][$0], configuration: configuration, precision: precision)
        }
    }

    /// - Parameters:
    ///   - features: `[N, S, C]`; their memory becomes the result's.
    ///   - position: `[N, S, C]`.
    /// - Returns: the memory that the decoder looks at, `[N, S, C]`.
    func callAsFunction(_ features: consuming FeatureSequence, position: Tensor) -> FeatureSequence {
        guard !layers.isEmpty else { return features }
        let references = ReferencePoints.ofLocations(in: features)
        var query = features.values.adding(position)
        for layer in layers { query = layer(&features, query: query, references: references, position: position) }
        return features
    }
}

/// Deformable self-attention, then feed-forward; each with its residual, then LayerNorm.
struct EncoderLayer: Sendable {
    let attention: MultiScaleDeformableAttention
    let norm1: LayerNorm
    let feedForward: FeedForward
    let norm2: LayerNorm

    init(_ cursor: WeightCursor, configuration: Configuration, precision: ComputePrecision) throws {
        let width = configuration.modelWidth
        attention = try MultiScaleDeformableAttention(
            cursor["self_attn"], width: width, heads: configuration.heads, levels: configuration.levels,
            points: configuration.encoderPoints, precision: precision)
        norm1 = try LayerNorm(cursor["norm1"], width: width)
        feedForward = try FeedForward(
            cursor, width: width, hiddenWidth: configuration.feedForwardWidth, precision: precision)
        norm2 = try LayerNorm(cursor["norm2"], width: width)
    }

    /// Replaces `features` by this layer's output.
    ///
    /// - Parameters:
    ///   - query: `features + position`, `[N, S, C]`.
    ///   - references: `[N, S, L, 2]`.
    /// - Returns: the next layer's query.
    func callAsFunction(
        _ features: inout FeatureSequence, query: Tensor, references: Tensor, position: Tensor
    ) -> Tensor {
        let sampled = attention.sample(query: query, references: references, source: features)
        var next = query
        features.updateValues { values in
            let attended = attention.project(sampled, addingTo: values)
            let (output, sum) = norm2(feedForward(norm1(consume attended)), adding: position)
            next = sum
            return output
        }
        return next
    }
}
