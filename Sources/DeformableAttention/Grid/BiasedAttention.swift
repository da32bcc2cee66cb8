import Checkpoint
import Layers
import Tensors

/// Multi-head attention whose scores get a continuous position bias: `softmax(q k^T / sqrt(D) + b(p_q - p_k)) v`.
///
/// The bias b is a small network over the distance of query and key, run for every pair: two hidden layers with ReLU.
struct BiasedAttention: Sendable {
    /// The places of queries and keys, and what is attended.
    struct Operands: Sendable {
        /// `[N, I, M * D]`, unscaled.
        var queries: Tensor
        /// `[N, J, M * D]`
        var keys: Tensor
        /// `[N, J, M * D]`
        var values: Tensor
        /// `[I, n]`, the same for all images and groups; normalised to -1...1.
        var queryPositions: Tensor
        /// `[N, G, J, n]`, normalised like the queries'; heads g * M / G ..< (g + 1) * M / G share those of group g.
        var keyPositions: Tensor
    }

    /// The gradients of ``Operands``; query positions are a fixed grid and have none.
    struct OperandGradients: Sendable {
        var queries: Tensor
        var keys: Tensor
        var values: Tensor
        var keyPositions: Tensor
    }

    /// Which attention weights training drops: a weight stays, divided by `1 - probability`, or becomes 0.
    struct Dropout: Sendable, Hashable {
        var probability: Float
        var seed: UInt64
    }

    /// Reads `mlp.0.0`, `mlp.1.0` and `mlp.2`.
    init(
        _ cursor: WeightCursor, heads: Int, headWidth: Int, groups: Int, rank: Int, hiddenWidth: Int,
        usesLogDistance: Bool
    )
        throws
    {
        preconditionFailure("in work")
    }

    /// - Returns: `[N, I, M * D]`.
    func callAsFunction(_ operands: Operands) -> Tensor {
        preconditionFailure("in work")
    }

    func withPullback(_ operands: Operands, dropout: Dropout?) -> (
        output: Tensor, pullback: (_ outputGradient: Tensor, _ gradients: inout Gradients) -> OperandGradients
    ) {
        preconditionFailure("in work")
    }
}
