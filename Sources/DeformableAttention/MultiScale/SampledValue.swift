import CKernels
import Layers
import Tensors

/// What a sampling reads, in the order in memory that suits how much it reads.
///
/// With about as many queries as pixels, as in an encoder, a pixel's head is read some 64 times, by neighbours in turn; then the
/// pixels of a head lie together, where a core's own cache holds those that its neighbours want. On the encoder of a base model at
/// 480x640 that took the sampling's backward from 205 to 112 ms of a training step. Few queries, as in a decoder, read less than the
/// copy would.
package struct SampledValue: Sendable {
    /// Elements from a head to the next, and from a pixel to the next.
    typealias Strides = (head: Int, pixel: Int)

    /// `[N, S, M * D]`, or `[N, M, S, D]` with heads apart.
    let elements: Factor
    let strides: Strides
    private let heads: Int
    /// `[N, S, M * D]`
    private let shape: Shape

    /// - Parameter elements: `[N, M, S, D]`, with heads apart.
    init(headsApart elements: Factor) {
        let (images, pixels, headWidth) = (elements.shape[0], elements.shape[2], elements.shape[3])
        heads = elements.shape[1]
        shape = [images, pixels, heads * headWidth]
        strides = (pixels * headWidth, headWidth)
        self.elements = elements
    }

    /// - Parameter value: `[N, S, M * D]`.
    package init(_ value: consuming Factor, heads: Int, queries: Int) {
        self.heads = heads
        shape = value.shape
        let (pixels, headWidth) = (shape[1], shape[2] / heads)
        let together: Strides = (headWidth, shape[2])
        guard heads > 1, 4 * queries >= pixels else {
            elements = value
            strides = together
            return
        }
        strides = (pixels * headWidth, headWidth)
        elements = Self.copy(
            value, as: [shape[0], heads, pixels, headWidth], heads: heads, pixels: pixels, from: together, to: strides)
    }

    /// A gradient that lies like ``elements``, as `[N, S, M * D]`.
    func joined(_ gradient: consuming Tensor) -> Tensor {
        guard gradient.shape != shape else { return gradient }
        return Self.copy(
            Factor(gradient, precision: .float32), as: shape, heads: heads, pixels: shape[1], from: strides,
            to: (shape[2] / heads, shape[2])
        ).tensor
    }

    /// The same elements in another order, image by image.
    private static func copy(
        _ source: Factor, as shape: Shape, heads: Int, pixels: Int, from: Strides, to: Strides
    ) -> Factor {
        var copy = Factor(uninitialized: shape, encoding: source.encoding)
        guard shape.count > 0 else { return copy }
        let element = source.encoding.size
        let size = shape.count / shape[0] * element
        copy.withMutableBytes { target in
            nonisolated(unsafe) let target = target
            withExtendedLifetime(source) {
                for image in 0..<shape[0] {
                    Parallel.forRanges(pixels, minimumPerThread: 64) { range in
                        deformable_sampling_reorder(
                            Int64(heads), Int64(size / pixels / heads), Int64(range.lowerBound),
                            Int64(range.upperBound), source.pointer + image * size, Int64(from.head * element),
                            Int64(from.pixel * element), target + image * size, Int64(to.head * element),
                            Int64(to.pixel * element))
                    }
                }
            }
        }
        return copy
    }
}
