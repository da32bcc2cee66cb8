import CKernels
import Tensors

/// The sampling step of multi-scale deformable attention, without its linear projections.
///
/// For every query q and head m: `output = sum over l, k of A[m, l, k] * value_m(location[m, l, k])`, where the attention
/// weights A are the softmax of the head's logits over all levels and points, and `value_m` is interpolated bilinearly
/// between pixel centres, zero outside the level. Locations in pixels of level l, whose extent is W x H:
/// - reference points `(x, y)`: `x * W + offset - 0.5`, so that an offset counts in pixels;
/// - reference boxes `(cx, cy, w, h)`: `cx * W + offset / K * w * W * 0.5 - 0.5`.
///
/// A location that is NaN, infinite or more than a pixel outside its level contributes zero, and its gradient is zero.
///
/// - Source: "Deformable DETR" (arXiv 2010.04159), equation 3; `models/ops/modules/ms_deform_attn.py` and
///   `models/ops/functions/ms_deform_attn_func.py`.
package struct DeformableSampling: Sendable, Hashable {
    /// M
    package let heads: Int
    /// D
    package let headWidth: Int
    /// K, for each head and level
    package let points: Int

    /// The most samples (levels times points) that a head can take.
    package static let maximumSamples = Int(deformable_sampling_maximum_points)

    /// - Precondition: each at least 1.
    package init(heads: Int, headWidth: Int, points: Int) {
        precondition(
            heads > 0 && headWidth > 0 && points > 0, "\(heads) heads of \(headWidth) channels and \(points) points")
        self.heads = heads
        self.headWidth = headWidth
        self.points = points
    }

    /// - Parameters:
    ///   - value: `[N, S, M * D]`.
    ///   - layout: the levels of `value`.
    ///   - projections: `[N, Q, 3 * M * L * K]`: offsets `[M, L, K, (x, y)]`, then logits `[M, L * K]`.
    ///   - references: `[N, Q, L, 2]` points or `[N, Q, L, 4]` boxes, in 0...1 of each padded level.
    /// - Returns: `[N, Q, M * D]`.
    package func callAsFunction(
        value: Tensor, layout: LevelLayout, projections: Tensor, references: Tensor
    ) -> Tensor {
        checkShapes(value: value, layout: layout, projections: projections, references: references)
        return sample(arranged(value, projections), layout: layout, projections: projections, references: references)
    }

    /// The value in the order that suits the number of queries.
    func arranged(_ value: Tensor, _ projections: Tensor) -> SampledValue {
        SampledValue(value, heads: heads, queries: projections.shape[1])
    }

    /// The same for a value that is in order already.
    func sample(
        _ value: SampledValue, layout: LevelLayout, projections: Tensor, references: Tensor
    ) -> Tensor {
        let queries = projections.shape[1]
        return Tensor([projections.shape[0], queries, heads * headWidth]) { output in
            guard let target = output.baseAddress else { return }
            withOperands(value: value, layout: layout, projections: projections, references: references) { images in
                for (image, operands) in images.enumerated() {
                    withUnsafePointer(to: operands) { operands in
                        Parallel.forRanges(queries, minimumPerThread: 16) { range in
                            deformable_sampling_forward(
                                operands, Int64(range.lowerBound), Int64(range.upperBound),
                                target + image * queries * heads * headWidth)
                        }
                    }
                }
            }
        }
    }

    /// Calls `body` with each image's operands, whose memory is valid during the call.
    func withOperands(
        value: SampledValue, layout: LevelLayout, projections: Tensor, references: Tensor,
        _ body: ([deformable_sampling]) -> Void
    ) {
        let (images, queries, levels) = (projections.shape[0], projections.shape[1], layout.levels)
        let table = layout.sizes.map(\.height) + layout.sizes.map(\.width) + layout.starts
        table.map(Int64.init).withUnsafeBufferPointer { table in
            withExtendedLifetime((value, projections, references)) {
                guard let heights = table.baseAddress else { return }
                body(
                    (0..<images).map { image in
                        deformable_sampling(
                            heads: Int64(heads), head_width: Int64(headWidth), levels: Int64(levels),
                            points: Int64(points), queries: Int64(queries), level_heights: heights,
                            level_widths: heights + levels, level_starts: heights + 2 * levels,
                            value: value.elements.pointer + image * (value.elements.count / images),
                            head_stride: Int64(value.strides.head), pixel_stride: Int64(value.strides.pixel),
                            projections: projections.pointer + image * (projections.count / images),
                            references: references.pointer + image * (references.count / images),
                            reference_width: Int64(references.shape[3]))
                    })
            }
        }
    }

    func checkShapes(value: Tensor, layout: LevelLayout, projections: Tensor, references: Tensor) {
        checkShapes(layout: layout, projections: projections, references: references)
        let expected: Shape = [projections.shape[0], layout.count, heads * headWidth]
        precondition(value.shape == expected, "value \(value.shape), expected \(expected)")
    }

    func checkShapes(layout: LevelLayout, projections: Tensor, references: Tensor) {
        let samples = layout.levels * points
        precondition(
            (1...Self.maximumSamples).contains(samples),
            "\(layout.levels) levels with \(points) points, expected 1 to \(Self.maximumSamples) samples a head")
        precondition(
            projections.shape.rank == 3 && projections.shape[2] == 3 * heads * samples,
            "projections \(projections.shape), expected [N, Q, \(3 * heads * samples)]")
        let (images, queries) = (projections.shape[0], projections.shape[1])
        precondition(
            references.shape == [images, queries, layout.levels, 2]
                || references.shape == [images, queries, layout.levels, 4],
            "references \(references.shape), expected [\(images), \(queries), \(layout.levels), 2 or 4]")
    }
}
