import Checkpoint
import Layers
import Tensors

/// Deformable attention over one feature map: ``MultiScaleDeformableAttention`` with one level.
///
/// `output = sum over heads m of W_m [sum over k of A[m, k] W'_m x(p + offset[m, k])]`, with K sampled points a head. One
/// linear projection of the query feature z gives 3MK channels: the first 2MK are the offsets, in pixels of the map, the last
/// MK the logits of the attention weights A, which sum to 1 over K. x is interpolated bilinearly, zero outside the map. Axes:
/// N images, Q queries, C channels, M heads, K points.
///
/// ```swift
/// var generator = SystemRandomNumberGenerator()
/// let parameters = try SingleScaleDeformableAttention.initialParameters(
///     width: 64, heads: 8, points: 4, using: &generator)
/// let attention = try SingleScaleDeformableAttention(WeightCursor(parameters), width: 64, heads: 8, points: 4)
/// let output = attention(
///     query: Tensor([1, 100, 64], repeating: 0.5), references: Tensor([1, 100, 2], repeating: 0.5),
///     features: Tensor([1, 20, 30, 64], repeating: 1))
/// ```
///
/// - Source: "Deformable DETR" (arXiv 2010.04159), equation 2.
public struct SingleScaleDeformableAttention: Sendable {
    private let attention: MultiScaleDeformableAttention

    /// The gradients of a loss with respect to the module's inputs.
    public struct InputGradients: Sendable {
        /// `[N, Q, C]`
        public var query: Tensor
        /// `[N, Q, 2]`
        public var references: Tensor
        /// `[N, H, W, C]`
        public var features: Tensor
    }

    /// Reads `sampling_offsets`, `attention_weights`, `value_proj` and `output_proj`: `weight` and `bias` of each.
    ///
    /// - Parameters: as in ``MultiScaleDeformableAttention/init(_:width:heads:levels:points:)``.
    /// - Throws: as there.
    public init(_ cursor: WeightCursor, width: Int, heads: Int, points: Int) throws {
        attention = try MultiScaleDeformableAttention(cursor, width: width, heads: heads, levels: 1, points: points)
    }

    /// Parameters to start training from: ``MultiScaleDeformableAttention/initialParameters(width:heads:levels:points:using:)``.
    public static func initialParameters(
        width: Int, heads: Int, points: Int, using generator: inout some RandomNumberGenerator
    ) throws -> TensorDictionary {
        try MultiScaleDeformableAttention.initialParameters(
            width: width, heads: heads, levels: 1, points: points, using: &generator)
    }

    /// - Parameters:
    ///   - query: z, `[N, Q, C]`.
    ///   - references: p, `[N, Q, 2]`, (x, y) in 0...1 of the map: pixel (column, row) has its centre at
    ///     `((column + 0.5) / W, (row + 0.5) / H)`.
    ///   - features: x, `[N, H, W, C]`.
    /// - Precondition: ``validate(query:references:features:)`` finds nothing. N, Q, H and W may be 0.
    /// - Returns: `[N, Q, C]`.
    public func callAsFunction(query: Tensor, references: Tensor, features: Tensor) -> Tensor {
        attention(
            query: query, references: asLevels(references), source: asSequence(features))
    }

    /// The attention's output, and how a gradient flows back through it and to the parameters, which have the names that the
    /// initialiser reads.
    ///
    /// - Parameters: as in ``callAsFunction(query:references:features:)``.
    public func withPullback(query: Tensor, references: Tensor, features: Tensor) -> (
        output: Tensor, pullback: (_ outputGradient: Tensor, _ gradients: inout Gradients) -> InputGradients
    ) {
        let (output, pullback) = attention.withPullback(
            query: query, references: asLevels(references), source: asSequence(features))
        return (
            output,
            { outputGradient, gradients in
                let inner = pullback(outputGradient, &gradients)
                return InputGradients(
                    query: inner.query, references: inner.references.reshaped(references.shape),
                    features: inner.source.reshaped(features.shape))
            }
        )
    }

    /// Whether the inputs suit each other and the module, for a caller that did not make them.
    ///
    /// - Parameters: as in ``callAsFunction(query:references:features:)``.
    /// - Throws: ``DeformableAttentionError/input(_:)`` with the shapes that disagree.
    public func validate(query: Tensor, references: Tensor, features: Tensor) throws(DeformableAttentionError) {
        guard references.shape.rank == 3, references.shape[2] == 2 else {
            throw .input("references \(references.shape), expected [N, Q, 2] for query \(query.shape)")
        }
        guard features.shape.rank == 4 else {
            throw .input("features \(features.shape), expected [N, H, W, \(attention.width)]")
        }
        try attention.validate(
            query: query, references: asLevels(references), source: asSequence(features))
    }

    /// `[N, Q, 2]` to `[N, Q, 1, 2]`.
    private func asLevels(_ references: Tensor) -> Tensor {
        precondition(
            references.shape.rank == 3 && references.shape[2] == 2,
            "references \(references.shape), expected [N, Q, 2]")
        let shape = references.shape
        return references.reshaped([shape[0], shape[1], 1, 2])
    }

    /// `[N, H, W, C]` to `[N, H * W, C]`.
    private func asSequence(_ features: Tensor) -> FeatureSequence {
        let shape = features.shape
        precondition(shape.rank == 4, "features \(shape), expected [N, H, W, \(attention.width)]")
        return FeatureSequence(
            values: features.reshaped([shape[0], shape[1] * shape[2], shape[3]]),
            layout: LevelLayout([ValidSize(height: shape[1], width: shape[2])]))
    }
}
