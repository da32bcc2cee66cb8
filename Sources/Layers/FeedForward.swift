import Checkpoint
import Tensors

/// The transformer's feed-forward part with its residual: `x + linear2(relu(linear1(x)))`, before normalisation.
public struct FeedForward: Sendable {
    let linear1: Linear
    let linear2: Linear

    /// Reads `linear1` and `linear2`.
    public init(
        _ cursor: WeightCursor, width: Int, hiddenWidth: Int, precision: ComputePrecision = .float32
    ) throws {
        linear1 = try Linear(
            cursor["linear1"], inputWidth: width, outputWidth: hiddenWidth, precision: precision)
        linear2 = try Linear(
            cursor["linear2"], inputWidth: hiddenWidth, outputWidth: width, precision: precision)
    }

    /// - Parameter input: `[..., width]`; its memory becomes the result's.
    public func callAsFunction(_ input: consuming Tensor) -> Tensor {
        let hidden = linear1(input, activation: .relu)
        return linear2(hidden, addingTo: input)
    }
}
