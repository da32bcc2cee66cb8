import CKernels
import Layers
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

    /// The most elements of an image's value: the kernel counts them in 32 bits.
    package static let maximumElements = Int(Int32.max)

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
        SampledValue(Factor(value, precision: .float32), heads: heads, queries: projections.shape[1])
    }

    /// The same for a value that is in order already.
    package func sample(
        _ value: SampledValue, layout: LevelLayout, projections: Tensor, references: Tensor
    ) -> Tensor {
        let queries = projections.shape[1]
        let shape: Shape = [projections.shape[0], queries, heads * headWidth]
        guard layout.count > 0 else { return Tensor(shape) }
        return Tensor(shape) { output in
            guard let target = output.baseAddress else { return }
            withExtendedLifetime((projections, references)) {
                withImages(of: value, layout: layout) { images in
                    for (number, image) in images.enumerated() {
                        let all = ImageQueries(projections: projections, references: references, image: number)
                        Parallel.forRanges(queries, minimumPerThread: 16) { range in
                            image.sample(
                                all[range], into: target + (number * queries + range.lowerBound) * heads * headWidth)
                        }
                    }
                }
            }
        }
    }

    /// Calls `body` with what is sampled of each image, whose memory is valid during the call.
    package func withImages<Result>(
        of value: SampledValue, layout: LevelLayout, _ body: ([ImageSource]) -> Result
    ) -> Result {
        let (images, levels) = (value.elements.shape[0], layout.levels)
        let table = layout.sizes.map(\.height) + layout.sizes.map(\.width) + layout.starts
        return table.map(Int64.init).withUnsafeBufferPointer { table in
            withExtendedLifetime(value) {
                guard let heights = table.baseAddress else { preconditionFailure("a layout without levels") }
                return body(
                    (0..<images).map { image in
                        ImageSource(
                            source: deformable_sampling_source(
                                heads: Int64(heads), head_width: Int64(headWidth), levels: Int64(levels),
                                points: Int64(points), level_heights: heights, level_widths: heights + levels,
                                level_starts: heights + 2 * levels,
                                value: value.elements.pointer
                                    + image * (value.elements.count / images) * value.elements.encoding.size,
                                head_stride: Int64(value.strides.head), pixel_stride: Int64(value.strides.pixel),
                                format: value.elements.encoding == .bfloat16
                                    ? deformable_sampling_bfloat16 : deformable_sampling_float32))
                    })
            }
        }
    }

    /// One image's value as the kernels see it.
    package struct ImageSource: @unchecked Sendable {
        // @unchecked: the memory that it points to is only read.
        let source: deformable_sampling_source

        /// Writes the heads' weighted sums, `[Q, M * D]`; on the thread that calls it.
        package func sample(_ queries: ImageQueries, into output: UnsafeMutablePointer<Float>) {
            var (source, queries) = (source, queries.queries)
            deformable_sampling_forward(&source, &queries, output)
        }
    }

    /// Some queries of one image as the kernels see them; whoever makes it keeps their memory.
    package struct ImageQueries: @unchecked Sendable {
        // @unchecked: the memory that it points to is only read.
        let queries: deformable_sampling_queries
        /// Elements of a query.
        private let projectionWidth: Int
        private let referencesWidth: Int

        /// - Parameters:
        ///   - projections: `[Q, 3 * M * L * K]`, `projectionWidth` elements each.
        ///   - references: `[Q, L, referenceWidth]`.
        package init(
            count: Int, projections: UnsafePointer<Float>, projectionWidth: Int, references: UnsafePointer<Float>,
            levels: Int, referenceWidth: Int
        ) {
            queries = deformable_sampling_queries(
                count: Int64(count), projections: projections, references: references,
                reference_width: Int64(referenceWidth))
            self.projectionWidth = projectionWidth
            referencesWidth = levels * referenceWidth
        }

        /// All of an image: `[N, Q, 3 * M * L * K]` and `[N, Q, L, 2 or 4]`.
        init(projections: Tensor, references: Tensor, image: Int) {
            let (count, levels) = (projections.shape[1], references.shape[2])
            self.init(
                count: count, projections: projections.pointer + image * count * projections.shape[2],
                projectionWidth: projections.shape[2],
                references: references.pointer + image * count * levels * references.shape[3], levels: levels,
                referenceWidth: references.shape[3])
        }

        subscript(range: Range<Int>) -> ImageQueries {
            ImageQueries(
                count: range.count, projections: queries.projections + range.lowerBound * projectionWidth,
                projectionWidth: projectionWidth,
                references: queries.references + range.lowerBound * referencesWidth,
                levels: referencesWidth / Int(queries.reference_width), referenceWidth: Int(queries.reference_width))
        }
    }

    func checkShapes(value: Tensor, layout: LevelLayout, projections: Tensor, references: Tensor) {
        checkShapes(layout: layout, projections: projections, references: references)
        let expected: Shape = [projections.shape[0], layout.count, heads * headWidth]
        precondition(value.shape == expected, "value \(value.shape), expected \(expected)")
        precondition(
            value.count / max(1, expected[0]) <= Self.maximumElements,
            "value \(value.shape): expected at most \(Self.maximumElements) elements an image")
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
