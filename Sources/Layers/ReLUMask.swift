import CKernels
import Tensors

/// Where a ReLU let its input through, one bit an element: all that its backward needs.
package struct ReLUMask: Sendable {
    private let shape: Shape
    private let signs: Storage

    /// - Parameter output: what the ReLU gave; what was set to 0 since then counts as kept back.
    package init(of output: Tensor) {
        let words = (output.count + Self.width - 1) / Self.width
        let storage = Storage(byteCount: words * MemoryLayout<UInt16>.stride)
        let signs = storage.start.assumingMemoryBound(to: UInt16.self)
        withExtendedLifetime((output, storage)) {
            Self.forElements(output.count) { elements in
                signs_of(
                    Int64(elements.count), output.pointer + elements.lowerBound,
                    signs + elements.lowerBound / Self.width)
            }
        }
        shape = output.shape
        self.signs = storage
    }

    /// The mask of a layer's output; nil if its activation lets everything through.
    package init?(of output: Tensor, activation: Activation) {
        guard activation == .relu else { return nil }
        self.init(of: output)
    }

    /// The gradient of the ReLU's input from that of its output.
    ///
    /// - Parameter scale: the output is so many times the ReLU's.
    package func gradient(of gradient: consuming Tensor, scale: Float = 1) -> Tensor {
        precondition(gradient.shape == shape, "gradient \(gradient.shape) of \(shape)")
        let (signs, count) = (signs, gradient.count)
        return gradient.rewritten { source, target in
            withExtendedLifetime(signs) {
                let words = signs.start.assumingMemoryBound(to: UInt16.self)
                Self.forElements(count) { elements in
                    let start = elements.lowerBound
                    signs_mask(
                        Int64(elements.count), scale, words + start / Self.width, source + start, target + start)
                }
            }
        }
    }

    /// Elements that share a word.
    private static let width = Int(signs_width)

    /// Splits the elements among the threads between words.
    private static func forElements(_ count: Int, _ body: (Range<Int>) -> Void) {
        Parallel.forRanges((count + width - 1) / width, minimumPerThread: 1 << 11) { words in
            body(words.lowerBound * width..<min(count, words.upperBound * width))
        }
    }
}
