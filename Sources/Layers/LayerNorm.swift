import CKernels
import Checkpoint
import Tensors

/// Layer normalisation over the last axis: `(x - mean) / sqrt(variance + 1e-5) * gain + bias`.
///
/// - Source: torch.nn.LayerNorm (biased variance).
public struct LayerNorm: Sendable {
    public let width: Int
    let gain: Tensor
    let bias: Tensor
    /// Where the checkpoint has `weight` and `bias`; nil for a layer of no checkpoint.
    let path: String?
    static let epsilon: Float = 1e-5

    /// Reads `weight` and `bias`, `[width]` each.
    public init(_ cursor: WeightCursor, width: Int) throws {
        self.init(
            gain: try cursor.tensor("weight", [width]), bias: try cursor.tensor("bias", [width]), path: cursor.path)
    }

    /// A layer of no checkpoint, for inference.
    public init(gain: Tensor, bias: Tensor) {
        self.init(gain: gain, bias: bias, path: nil)
    }

    private init(gain: Tensor, bias: Tensor, path: String?) {
        precondition(gain.shape.rank == 1 && gain.shape == bias.shape, "gain \(gain.shape), bias \(bias.shape)")
        width = gain.count
        self.gain = gain
        self.bias = bias
        self.path = path
    }

    /// - Parameter input: `[..., width]`; its memory becomes the result's.
    public func callAsFunction(_ input: consuming Tensor) -> Tensor {
        let rows = rows(of: input)
        input.withMutableElements { elements in
            guard let start = elements.baseAddress else { return }
            normalize(rows: rows, from: start, into: start, position: nil, sum: nil)
        }
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
        let rows = rows(of: input)
        var query = Tensor(uninitialized: input.shape)
        query.withMutableElements { query in
            input.withMutableElements { elements in
                guard let start = elements.baseAddress else { return }
                normalize(rows: rows, from: start, into: start, position: position, sum: query.baseAddress)
            }
        }
        return (input, query)
    }

    /// Normalises `[rows, width]` in place; within a parallel loop on the thread that calls it. The caller answers for the memory.
    package func callAsFunction(_ values: UnsafeMutablePointer<Float>, rows: Int) {
        normalize(rows: rows, from: values, into: values, position: nil, sum: nil)
    }

    func rows(of input: Tensor) -> Int {
        precondition(input.shape.last == width, "input \(input.shape), expected [..., \(width)]")
        return input.count / max(1, width)
    }

    /// Normalises rows in memory that the caller answers for; `target` may be `source`.
    func normalize(
        rows: Int, from source: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>, position: Tensor?,
        sum: UnsafeMutablePointer<Float>?
    ) {
        withExtendedLifetime((gain, bias, position)) {
            Parallel.forRanges(rows, minimumPerThread: 64) { range in
                let offset = range.lowerBound * width
                rows_layer_norm(
                    Int64(range.count), Int64(width), source + offset, gain.pointer, bias.pointer, Self.epsilon,
                    target + offset, position.map { $0.pointer + offset }, sum.map { $0 + offset })
            }
        }
    }
}
