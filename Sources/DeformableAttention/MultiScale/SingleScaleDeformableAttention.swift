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
/// let output = try attention(
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
    ///   - features: x, `[N, H, W, C]`. N, Q, H and W may be 0.
    /// - Returns: `[N, Q, C]`.
    /// - Throws: ``DeformableAttentionError/input(_:)`` with the shapes that disagree.
    public func callAsFunction(
        query: Tensor, references: Tensor, features: Tensor
    ) throws(DeformableAttentionError) -> Tensor {
        try validate(query: query, references: references, features: features)
        return try attention(query: query, references: asLevels(references), source: asSequence(features))
    }

    /// The attention's output, and how a gradient flows back through it and to the parameters, which have the names that the
    /// initialiser reads.
    ///
    /// - Parameters: as in ``callAsFunction(query:references:features:)``.
    /// - Throws: as there.
    public func withPullback(
        query: Tensor, references: Tensor, features: Tensor
    ) throws(DeformableAttentionError) -> (
        output: Tensor, pullback: @Sendable (_ outputGradient: Tensor, _ gradients: inout Gradients) -> InputGradients
    ) {
        try validate(query: query, references: references, features: features)
        let (output, pullback) = try attention.withPullback(
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

    private func validate(query: Tensor, references: Tensor, features: Tensor) throws(DeformableAttentionError) {
        let width = attention.width
        guard query.shape.rank == 3, query.shape[2] == width, query.shape[0] <= FeatureSequence.largestBatch else {
            throw .input("query \(query.shape), expected [N, Q, \(width)]")
        }
        let (images, queries) = (query.shape[0], query.shape[1])
        guard references.shape == [images, queries, 2] else {
            throw .input("references \(references.shape), expected [\(images), \(queries), 2] for query \(query.shape)")
        }
        let shape = features.shape
        // The number of positions must be one, even where no images make the tensor empty.
        guard shape.rank == 4, shape[0] == images, shape[3] == width,
            Shape.checkedCount(of: [shape[1], shape[2]]) != nil
        else {
            throw .input("features \(shape), expected [\(images), H, W, \(width)] for query \(query.shape)")
        }
    }

    /// `[N, Q, 2]` to `[N, Q, 1, 2]`.
    private func asLevels(_ references: Tensor) -> Tensor {
        references.reshaped([references.shape[0], references.shape[1], 1, 2])
    }

    /// `[N, H, W, C]` to `[N, H * W, C]`.
    private func asSequence(_ features: Tensor) -> FeatureSequence {
        let shape = features.shape
        return FeatureSequence(
            values: features.reshaped([shape[0], shape[1] * shape[2], shape[3]]),
            layout: LevelLayout([ValidSize(height: shape[1], width: shape[2])]))
    }
}
