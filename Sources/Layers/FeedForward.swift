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

/// A feed-forward part compiled for tiles of one height, which each thread of a parallel loop takes through by itself.
package struct FeedForwardTile: Sendable {
    private let linear1: LinearTile
    private let linear2: LinearTile
    private let hiddenCount: Int
    private let inputCount: Int
    /// Floats of the memory that a tile needs in between.
    package let scratchCount: Int

    init(_ layer: FeedForward, rows: Int) {
        linear1 = layer.linear1.tile(rows: rows, activation: .relu, result: layer.linear2.input)
        linear2 = layer.linear2.tile(rows: rows, addsToDestination: true)
        hiddenCount = rows * layer.linear1.outputWidth
        inputCount = rows * layer.linear1.inputWidth
        scratchCount = inputCount + hiddenCount
    }

    /// Adds to `[rows, width]` what the layers make of it, on the thread that calls it; the caller answers for the memory.
    package func callAsFunction(_ values: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>) {
        let hidden = scratch + inputCount
        linear1(linear1.factors(values, count: inputCount, room: scratch), into: hidden)
        linear2.observer?.observe(hidden, count: hiddenCount)
        linear2(hidden, into: values)
    }
}

extension FeedForward {
    /// The layers for tiles of `rows` rows.
    package func tile(rows: Int) -> FeedForwardTile { FeedForwardTile(self, rows: rows) }
}
