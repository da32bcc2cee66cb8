import CKernels
import Checkpoint
import Tensors

/// Multi-head self-attention among the queries of the decoder.
///
/// `softmax(q k^T / sqrt(D)) v` for each of M heads of D channels; queries and keys are projected from one input (the
/// targets with their positions), values from another (the targets).
///
/// - Source: torch.nn.MultiheadAttention; `DeformableTransformerDecoderLayer.self_attn`.
public struct MultiHeadAttention: Sendable {
    public let heads: Int
    public let width: Int
    private let queryKey: Linear
    private let value: Linear
    private let output: Linear

    /// Reads `in_proj_weight [3 width, width]`, `in_proj_bias` and `out_proj`.
    public init(_ cursor: WeightCursor, width: Int, heads: Int) throws {
        precondition(width % heads == 0, "\(width) channels in \(heads) heads")
        self.heads = heads
        self.width = width
        let weight = try cursor.tensor("in_proj_weight", [3 * width, width])
        let bias = try cursor.tensor("in_proj_bias", [3 * width])
        queryKey = Linear(weight: weight.rows(0..<2 * width), bias: bias.rows(0..<2 * width))
        value = Linear(weight: weight.rows(2 * width..<3 * width), bias: bias.rows(2 * width..<3 * width))
        output = try Linear(cursor["out_proj"], inputWidth: width, outputWidth: width)
    }

    /// - Parameters:
    ///   - query: `[N, Q, width]`, targets plus positions; keys are the same.
    ///   - target: `[N, Q, width]`, the values.
    ///   - residual: `[N, Q, width]`, added to the result.
    /// - Returns: `[N, Q, width]`.
    public func callAsFunction(
        query: Tensor, target: Tensor, addingTo residual: consuming Tensor
    ) -> Tensor {
        precondition(
            query.shape.rank == 3 && query.shape == target.shape, "query \(query.shape), target \(target.shape)")
        let (images, count, headWidth) = (query.shape[0], query.shape[1], width / heads)
        let projected = queryKey(query)
        let values = value(target)
        var scores = Tensor(uninitialized: [images, heads, count, count])
        var attended = Tensor(uninitialized: query.shape)

        let (perImage, perRow) = (Int64(count * width), Int64(width))
        let (perMap, perScoreRow, perHead) = (Int64(count * count), Int64(count), Int64(headWidth))
        Product(
            batches: (images, heads), rows: count, inner: headWidth, columns: count,
            leftStrides: [2 * perImage, perHead, 2 * perRow, 1], rightStrides: [2 * perImage, perHead, 1, 2 * perRow],
            resultStrides: [Int64(heads) * perMap, perMap, perScoreRow, 1]
        ).run(left: projected, right: projected, rightOffset: width, into: &scores)
        let scale = 1 / Float(headWidth).squareRoot()
        scores.withMutableElements { scores in
            guard let start = scores.baseAddress else { return }
            Parallel.forRanges(images * heads * count, minimumPerThread: 64) { rows in
                rows_softmax(Int64(rows.count), Int64(count), scale, start + rows.lowerBound * count)
            }
        }
        Product(
            batches: (images, heads), rows: count, inner: count, columns: headWidth,
            leftStrides: [Int64(heads) * perMap, perMap, perScoreRow, 1],
            rightStrides: [perImage, perHead, perRow, 1], resultStrides: [perImage, perHead, perRow, 1]
        ).run(left: scores, right: values, into: &attended)
        return output(attended, addingTo: residual)
    }
}
