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
    ///   - positions: of each image.
    /// - Returns: the memory that the decoder looks at, `[N, S, C]`.
    func callAsFunction(
        _ features: consuming FeatureSequence, positions: [PositionEncoding.Locations]
    ) -> FeatureSequence {
        guard let first = layers.first, features.layout.count > 0 else { return features }
        let references = ReferencePoints.ofLocations(in: features)
        var value = first.attention.value(of: features)
        for (index, layer) in layers.enumerated() {
            let next = index + 1 < layers.count ? layers[index + 1].attention : nil
            let pass = EncoderPass(layer: layer, next: next, positions: positions, references: references)
            if let nextValue = pass(&features, value: value) { value = nextValue }
        }
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
}
