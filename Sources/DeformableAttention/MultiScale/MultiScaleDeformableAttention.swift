import Checkpoint
import Layers
import Tensors

/// Multi-scale deformable attention: each query looks at a few learned locations around its reference point, in all levels.
///
/// The query's projection has 3MLK columns: the first 2MLK are sampling offsets, the last MLK logits of the attention
/// weights (the paper's 3MK with L levels); they are one product here. With one level this is the paper's single-scale
/// deformable attention.
///
/// - Source: "Deformable DETR" (arXiv 2010.04159), equations 2 and 3; `models/ops/modules/ms_deform_attn.py`.
public struct MultiScaleDeformableAttention: Sendable {
    /// C
    public let width: Int
    public let levels: Int
    public let sampling: DeformableSampling
    /// The sampling offsets and the attention weights' logits, `[N, Q, 3MLK]`.
    let projection: Linear
    private let valueProjection: Linear
    private let outputProjection: Linear

    /// Reads `sampling_offsets`, `attention_weights`, `value_proj` and `output_proj`.
    public init(_ cursor: WeightCursor, width: Int, heads: Int, levels: Int, points: Int) throws {
        precondition(width % heads == 0, "\(width) channels in \(heads) heads")
        self.width = width
        self.levels = levels
        sampling = DeformableSampling(heads: heads, headWidth: width / heads, points: points)
        let samples = heads * levels * points
        projection = try Linear(
            stacking: [(cursor["sampling_offsets"], 2 * samples), (cursor["attention_weights"], samples)],
            inputWidth: width)
        valueProjection = try Linear(cursor["value_proj"], inputWidth: width, outputWidth: width)
        outputProjection = try Linear(cursor["output_proj"], inputWidth: width, outputWidth: width)
    }

    /// The whole attention: ``sample(query:references:source:)``, then ``project(_:addingTo:)``.
    ///
    /// - Parameters:
    ///   - query: `[N, Q, C]`, features plus positions.
    ///   - references: `[N, Q, L, 2]` points or `[N, Q, L, 4]` boxes, in 0...1 of each padded level.
    ///   - source: what is sampled, `[N, S, C]`; its padding counts as zero after the value projection.
    ///   - residual: `[N, Q, C]`, added to the result; its memory becomes the result's.
    /// - Returns: `[N, Q, C]`.
    public func callAsFunction(
        query: Tensor, references: Tensor, source: FeatureSequence, addingTo residual: consuming Tensor? = nil
    ) -> Tensor {
        project(sample(query: query, references: references, source: source), addingTo: residual)
    }

    /// The heads' weighted sums of sampled values, side by side: `[N, Q, M * D]`.
    public func sample(query: Tensor, references: Tensor, source: FeatureSequence) -> Tensor {
        var value = valueProjection(source.values)
        source.clearPadding(of: &value)
        return sampling(value: value, layout: source.layout, projections: projection(query), references: references)
    }

    /// Mixes the heads, `[N, Q, C]`, and adds `residual`, whose memory becomes the result's.
    public func project(_ sampled: Tensor, addingTo residual: consuming Tensor?) -> Tensor {
        outputProjection(sampled, addingTo: residual)
    }
}
