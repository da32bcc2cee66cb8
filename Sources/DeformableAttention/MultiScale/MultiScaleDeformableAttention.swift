@_exported import Checkpoint
@_exported import Layers
@_exported import Tensors

/// Multi-scale deformable attention: each query looks at a few learned locations around its reference point, in all levels.
///
/// `output = sum over heads m of W_m [sum over l, k of A[m, l, k] W'_m x_l(location[m, l, k])]`. The query's projection has
/// 3MLK columns: the first 2MLK are sampling offsets, the last MLK logits of the attention weights A (the paper's 3MK with L
/// levels); they are one product here. ``DeformableSampling`` says how offsets and references become locations; W' is
/// `value_proj`, W is `output_proj`. Axes: N images, Q queries, C channels, M heads, L levels, K points, S locations of all
/// levels.
///
/// ```swift
/// let levels = try LevelLayout(levels: [ValidSize(height: 20, width: 30), ValidSize(height: 10, width: 15)])
/// var generator = SystemRandomNumberGenerator()
/// let parameters = try MultiScaleDeformableAttention.initialParameters(
///     width: 64, heads: 8, levels: 2, points: 4, using: &generator)
/// let attention = try MultiScaleDeformableAttention(
///     WeightCursor(parameters), width: 64, heads: 8, levels: 2, points: 4)
/// let output = try attention(
///     query: Tensor([1, 100, 64], repeating: 0.5), references: Tensor([1, 100, 2, 2], repeating: 0.5),
///     source: FeatureSequence(values: Tensor([1, levels.count, 64], repeating: 1), of: levels))
/// ```
///
/// - Source: "Deformable DETR" (arXiv 2010.04159), equations 2 and 3; `models/ops/modules/ms_deform_attn.py`.
public struct MultiScaleDeformableAttention: Sendable {
    /// C
    public let width: Int
    /// L
    public let levels: Int
    package let sampling: DeformableSampling
    /// The sampling offsets and the attention weights' logits, `[N, Q, 3MLK]`.
    let projection: Linear
    let valueProjection: Linear
    let outputProjection: Linear
    /// Of the projections.
    let precision: ComputePrecision
    /// How values lie in memory: bfloat16 also between products of whole numbers.
    var valueEncoding: Encoding { precision.withoutInt8.encoding }
    /// A source as the value projection multiplies it.
    package func factor(_ source: Tensor) -> Factor { valueProjection.factor(source) }

    /// Reads `sampling_offsets`, `attention_weights`, `value_proj` and `output_proj`: `weight` and `bias` of each.
    ///
    /// - Parameters:
    ///   - cursor: the attention's place in a checkpoint; `WeightCursor(parameters)` for parameters in memory.
    ///   - width: C, shared evenly by the heads.
    ///   - points: K, for each head and level.
    ///   - precision: of the projections. In bfloat16 inference samples values in bfloat16, too, and sums them in float32.
    ///   - queryPrecision: of the projection of queries, if it is another.
    /// - Throws: ``DeformableAttentionError/configuration(_:)`` for extents that no attention has, `CheckpointError` for
    ///   parameters that are missing, misshaped or not finite.
    public init(
        _ cursor: WeightCursor, width: Int, heads: Int, levels: Int, points: Int,
        precision: ComputePrecision = .float32, queryPrecision: ComputePrecision? = nil
    ) throws {
        try Self.validate(width: width, heads: heads, levels: levels, points: points)
        self.width = width
        self.levels = levels
        self.precision = precision
        sampling = DeformableSampling(heads: heads, headWidth: width / heads, points: points)
        let samples = heads * levels * points
        projection = try Linear(
            stacking: [(cursor["sampling_offsets"], 2 * samples), (cursor["attention_weights"], samples)],
            inputWidth: width, precision: queryPrecision ?? precision)
        valueProjection = try Linear(
            cursor["value_proj"], inputWidth: width, outputWidth: width, precision: precision)
        outputProjection = try Linear(
            cursor["output_proj"], inputWidth: width, outputWidth: width, precision: precision)
    }

    static func validate(width: Int, heads: Int, levels: Int, points: Int) throws {
        let extents = [width, heads, levels, points]
        guard extents.allSatisfy({ (1...largestExtent).contains($0) }) else {
            throw DeformableAttentionError.configuration(
                "width, heads, levels and points \(extents) must lie in 1...\(largestExtent)")
        }
        guard width % heads == 0 else {
            throw DeformableAttentionError.configuration("\(width) channels cannot be shared evenly by \(heads) heads")
        }
        guard levels * points <= DeformableSampling.maximumSamples else {
            throw DeformableAttentionError.configuration(
                "\(levels) levels with \(points) points are \(levels * points) samples a head, expected at most"
                    + " \(DeformableSampling.maximumSamples)")
        }
    }

    private static let largestExtent = 1 << 16

    /// - Parameters:
    ///   - query: `[N, Q, C]`, features plus positions.
    ///   - references: `[N, Q, L, 2]` points or `[N, Q, L, 4]` boxes, in 0...1 of each padded level.
    ///   - source: what is sampled, `[N, S, C]`; its padding counts as zero after the value projection. N, Q and S may be 0.
    ///   - residual: `[N, Q, C]`, added to the result; its memory becomes the result's.
    /// - Returns: `[N, Q, C]`.
    /// - Throws: ``DeformableAttentionError/input(_:)`` with the shapes that disagree.
    public func callAsFunction(
        query: Tensor, references: Tensor, source: FeatureSequence, addingTo residual: consuming Tensor? = nil
    ) throws(DeformableAttentionError) -> Tensor {
        try validate(query: query, references: references, source: source)
        try validate(residual: residual?.shape, query: query)
        return project(sample(query: query, references: references, source: source), addingTo: residual)
    }

    /// The heads' weighted sums of sampled values, side by side: `[N, Q, M * D]`, of inputs that suit each other.
    ///
    /// - Parameter factor: the source's values as a factor, where the caller has them; see ``precision``.
    package func sample(
        query: Tensor, references: Tensor, source: FeatureSequence, factor: Factor? = nil
    ) -> Tensor {
        let value = value(of: source, factor: factor, queries: query.shape[1])
        return sampling.sample(value, layout: source.layout, projections: projection(query), references: references)
    }

    /// What the source's locations are sampled as, zero in its padding.
    ///
    /// - Parameters:
    ///   - factor: the source's values as a factor, where the caller has them; see ``precision``.
    ///   - queries: about how many queries an image has; nil: one for each location.
    package func value(of source: FeatureSequence, factor: Factor? = nil, queries: Int? = nil) -> SampledValue {
        let factor = factor ?? valueProjection.factor(source.values)
        var value = valueProjection(factor, result: valueEncoding)
        source.clearPadding(of: &value)
        return SampledValue(value, heads: sampling.heads, queries: queries ?? source.layout.count)
    }

    /// Mixes the heads, `[N, Q, C]`, and adds `residual`, whose memory becomes the result's.
    package func project(_ sampled: Tensor, addingTo residual: consuming Tensor?) -> Tensor {
        outputProjection(sampled, addingTo: residual)
    }

    /// Whether the inputs suit each other and the module.
    ///
    /// - Throws: ``DeformableAttentionError/input(_:)`` with the shapes that disagree.
    func validate(query: Tensor, references: Tensor, source: FeatureSequence) throws(DeformableAttentionError) {
        guard query.shape.rank == 3, query.shape[2] == width else {
            throw .input("query \(query.shape), expected [N, Q, \(width)]")
        }
        let (images, queries) = (query.shape[0], query.shape[1])
        guard source.layout.levels == levels else {
            throw .input("source with \(source.layout.levels) levels, expected \(levels)")
        }
        guard source.values.shape == [images, source.layout.count, width] else {
            throw .input(
                "source \(source.values.shape), expected [\(images), \(source.layout.count), \(width)] for query"
                    + " \(query.shape)")
        }
        guard source.layout.count * width <= DeformableSampling.maximumElements else {
            throw .input(
                "source \(source.values.shape), expected at most \(DeformableSampling.maximumElements) elements an image"
            )
        }
        guard references.shape == [images, queries, levels, 2] || references.shape == [images, queries, levels, 4]
        else {
            throw .input(
                "references \(references.shape), expected [\(images), \(queries), \(levels), 2 or 4] for query"
                    + " \(query.shape)")
        }
    }

    func validate(residual: Shape?, query: Tensor) throws(DeformableAttentionError) {
        guard let residual, residual != query.shape else { return }
        throw .input("residual \(residual), expected \(query.shape) as the query")
    }
}
