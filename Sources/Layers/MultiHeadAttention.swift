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
    let queryKey: Linear
    let value: Linear
    let output: Linear
    /// Where the checkpoint has `in_proj_weight` and `in_proj_bias`.
    let path: String

    /// Reads `in_proj_weight [3 width, width]`, `in_proj_bias` and `out_proj`.
    ///
    /// - Parameter precision: of the projections, which compute in bfloat16 for int8; the products of queries, keys and values are
    ///   float32.
    public init(
        _ cursor: WeightCursor, width: Int, heads: Int, precision: ComputePrecision = .float32
    ) throws {
        precondition(width % heads == 0, "\(width) channels in \(heads) heads")
        let precision = precision.withoutInt8
        self.heads = heads
        self.width = width
        path = cursor.path
        let weight = try cursor.stored("in_proj_weight", [3 * width, width])
        let bias = try cursor.tensor("in_proj_bias", [3 * width])
        queryKey = Self.projection(0..<2 * width, of: weight, bias, precision)
        value = Self.projection(2 * width..<3 * width, of: weight, bias, precision)
        output = try Linear(cursor["out_proj"], inputWidth: width, outputWidth: width, precision: precision)
    }

    /// Some rows of the input projection; gradients go by short names, as the rows have none of their own.
    private static func projection(
        _ rows: Range<Int>, of weight: StoredTensor, _ bias: Tensor, _ precision: ComputePrecision
    ) -> Linear {
        Linear(
            weight: StoredTensor(shape: [rows.count, weight.shape[1]]) { weight().rows(rows) }, bias: bias.rows(rows),
            precision: precision, input: precision.encoding,
            sources: [Linear.Source(weightName: "weight", biasName: "bias", rows: 0..<rows.count)])
    }

    /// - Parameters:
    ///   - query: `[N, Q, width]`, targets plus positions; keys are the same.
    ///   - target: `[N, Q, width]`, the values.
    ///   - residual: `[N, Q, width]`, added to the result.
    /// - Returns: `[N, Q, width]`.
    public func callAsFunction(
        query: Tensor, target: Tensor, addingTo residual: consuming Tensor
    ) -> Tensor {
        let plan = Plan(of: self, query: query, target: target)
        let weights = plan.weights(queryKeys: queryKey(query))
        return output(plan.attended(weights, values: value(target)), addingTo: residual)
    }

    /// The products of one call, for inputs of one shape. Heads are read and written in place, by strides.
    struct Plan {
        let images: Int
        let heads: Int
        /// Q
        let count: Int
        /// D
        let headWidth: Int
        /// `1 / sqrt(D)`
        let scale: Float
        /// Strides of queries or keys in `[N, Q, (query, key), M, D]`, of values in `[N, Q, M, D]`, of maps `[N, M, Q, Q]`.
        let queryKey: Product.Strides
        let value: Product.Strides
        let map: Product.Strides

        init(of attention: MultiHeadAttention, query: Tensor, target: Tensor) {
            precondition(
                query.shape.rank == 3 && query.shape == target.shape && query.shape[2] == attention.width,
                "query \(query.shape), target \(target.shape), expected [N, Q, \(attention.width)]")
            (images, count, heads) = (query.shape[0], query.shape[1], attention.heads)
            headWidth = attention.width / heads
            scale = 1 / Float(headWidth).squareRoot()
            let (width, rows) = (Int64(attention.width), Int64(count))
            queryKey = [2 * rows * width, Int64(headWidth), 2 * width, 1]
            value = [rows * width, Int64(headWidth), width, 1]
            map = [Int64(heads) * rows * rows, rows * rows, rows, 1]
        }

        /// A product of every head; `.transposed` strides give a factor's transpose.
        func product(
            inner: Int, columns: Int, left: Product.Strides, right: Product.Strides, result: Product.Strides
        ) -> Product {
            Product(
                batches: (images, heads), rows: count, inner: inner, columns: columns, leftStrides: left,
                rightStrides: right, resultStrides: result)
        }

        /// `softmax(q k^T / sqrt(D))`: from `[N, Q, (query, key), M, D]` to `[N, M, Q, Q]`.
        func weights(queryKeys: Tensor) -> Tensor {
            var weights = Tensor(uninitialized: [images, heads, count, count])
            product(inner: headWidth, columns: count, left: queryKey, right: queryKey.transposed, result: map)
                .run(left: queryKeys, right: queryKeys, rightOffset: heads * headWidth, into: &weights)
            weights.withMutableElements { weights in
                guard let start = weights.baseAddress else { return }
                Parallel.forRanges(images * heads * count, minimumPerThread: 64) { rows in
                    rows_softmax(Int64(rows.count), Int64(count), scale, start + rows.lowerBound * count)
                }
            }
            return weights
        }

        /// The heads' weighted sums of values, `[N, Q, M * D]`.
        func attended(_ weights: Tensor, values: Tensor) -> Tensor {
            var attended = Tensor(uninitialized: values.shape)
            product(inner: count, columns: headWidth, left: map, right: value, result: value)
                .run(left: weights, right: values, into: &attended)
            return attended
        }
    }
}

extension Product.Strides {
    /// Of the transposed matrices.
    var transposed: Product.Strides { [self[0], self[1], self[3], self[2]] }
}
