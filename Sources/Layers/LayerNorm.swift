import CKernels
import Checkpoint
import Tensors

/// Layer normalisation over the last axis: `(x - mean) / sqrt(variance + 1e-5) * gain + bias`.
///
/// - Source: torch.nn.LayerNorm (biased variance).
public struct LayerNorm: Sendable {
    public let width: Int
    private let gain: Tensor
    private let bias: Tensor
    private static let epsilon: Float = 1e-5

    /// Reads `weight` and `bias`, `[width]` each.
    public init(_ cursor: WeightCursor, width: Int) throws {
        self.init(gain: try cursor.tensor("weight", [width]), bias: try cursor.tensor("bias", [width]))
    }

    public init(gain: Tensor, bias: Tensor) {
        precondition(gain.shape.rank == 1 && gain.shape == bias.shape, "gain \(gain.shape), bias \(bias.shape)")
        width = gain.count
        self.gain = gain
        self.bias = bias
    }

    /// - Parameter input: `[..., width]`; its memory becomes the result's.
    public func callAsFunction(_ input: consuming Tensor) -> Tensor {
        normalize(&input, position: nil, sum: nil)
        return input
    }

    /// Normalises and adds a position encoding in the same pass.
    ///
    /// - Parameters:
    ///   - input: `[..., width]`; its memory becomes the result's.
    ///   - position: the same shape.
    /// - Returns: the normalised tensor, and its sum with the position: the next attention's query.
    public func callAsFunction(
        _ input: consuming Tensor, adding position: Tensor
    ) -> (normalized: Tensor, query: Tensor) {
        precondition(position.shape == input.shape, "position \(position.shape) for \(input.shape)")
        var query = Tensor(uninitialized: input.shape)
        query.withMutableElements { normalize(&input, position: position, sum: $0.baseAddress) }
        return (input, query)
    }

    private func normalize(_ input: inout Tensor, position: Tensor?, sum: UnsafeMutablePointer<Float>?) {
        precondition(input.shape.last == width, "input \(input.shape), expected [..., \(width)]")
        let width = width
        input.withMutableElements { elements in
            guard let start = elements.baseAddress else { return }
            withExtendedLifetime((gain, bias, position)) {
                Parallel.forRanges(elements.count / width, minimumPerThread: 64) { rows in
                    let offset = rows.lowerBound * width
                    rows_layer_norm(
                        Int64(rows.count), Int64(width), start + offset, gain.pointer, bias.pointer, Self.epsilon,
                        start + offset, position.map { $0.pointer + offset }, sum.map { $0 + offset })
                }
            }
        }
    }
}
