import CKernels
import Tensors

/// What a sampling reads, in the order in memory that suits how much it reads.
///
/// With about as many queries as pixels, as in an encoder, each pixel is read some 50 times, by neighbours in turn; then the pixels
/// of a head lie together, where a core's own cache holds those that its neighbours want. On the encoder of a base model at 480x640
/// that takes nearly half of the time from the sampling's backward, ten times what copying costs. Few queries, as in a
/// decoder, read less than the copy would.
struct SampledValue: Sendable {
    /// `[N, S, M * D]`, or `[N, M, S, D]` with heads apart.
    let elements: Tensor
    let hasHeadsApart: Bool
    private let heads: Int
    /// `[N, S, M * D]`
    private let shape: Shape

    /// - Parameter value: `[N, S, M * D]`.
    init(_ value: consuming Tensor, heads: Int, queries: Int) {
        self.heads = heads
        shape = value.shape
        hasHeadsApart = heads > 1 && 4 * queries >= shape[1]
        elements =
            hasHeadsApart
            ? Self.copy(value, as: Self.shapeApart(shape, heads: heads), shape, heads, deformable_sampling_part_heads)
            : value
    }

    /// Elements between a head and the next, and between a pixel and the next.
    var strides: (head: Int, pixel: Int) {
        let headWidth = shape[2] / heads
        return hasHeadsApart ? (shape[1] * headWidth, headWidth) : (headWidth, shape[2])
    }

    /// A gradient that lies like ``elements``, as `[N, S, M * D]`.
    func joined(_ gradient: consuming Tensor) -> Tensor {
        hasHeadsApart ? Self.copy(gradient, as: shape, shape, heads, deformable_sampling_join_heads) : gradient
    }

    private static func shapeApart(_ shape: Shape, heads: Int) -> Shape {
        [shape[0], heads, shape[1], shape[2] / heads]
    }

    private typealias Copy = (Int64, Int64, Int64, Int64, Int64, UnsafePointer<Float>?, UnsafeMutablePointer<Float>?) ->
        Void

    /// The same elements in another order, image by image.
    private static func copy(_ source: Tensor, as result: Shape, _ shape: Shape, _ heads: Int, _ body: Copy) -> Tensor {
        let (images, pixels, width) = (shape[0], shape[1], shape[2])
        return Tensor(result) { target in
            guard let target = target.baseAddress else { return }
            withExtendedLifetime(source) {
                withoutActuallyEscaping(body) { body in
                    Parallel.forRanges(images * pixels, minimumPerThread: 64) { range in
                        var index = range.lowerBound
                        while index < range.upperBound {
                            let (image, first) = index.quotientAndRemainder(dividingBy: pixels)
                            let end = min(pixels, first + range.upperBound - index)
                            body(
                                Int64(pixels), Int64(heads), Int64(width / heads), Int64(first), Int64(end),
                                source.pointer + image * pixels * width, target + image * pixels * width)
                            index += end - first
                        }
                    }
                }
            }
        }
    }
}
