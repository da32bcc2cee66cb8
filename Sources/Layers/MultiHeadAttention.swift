import CKernels
import COneDNN
import Checkpoint
import Synchronization
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
    private let products = AttentionProducts()

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

        products.run(
            AttentionProducts.Shape(
                batches: [images, heads], rows: count, inner: headWidth, columns: count,
                leftStrides: [count * 2 * width, headWidth, 2 * width, 1],
                rightStrides: [count * 2 * width, headWidth, 1, 2 * width],
                resultStrides: [heads * count * count, count * count, count, 1]),
            left: projected, right: projected, rightOffset: width, into: &scores)
        let scale = 1 / Float(headWidth).squareRoot()
        scores.withMutableElements { scores in
            guard let start = scores.baseAddress else { return }
            Parallel.forRanges(images * heads * count, minimumPerThread: 64) { rows in
                rows_softmax(Int64(rows.count), Int64(count), scale, start + rows.lowerBound * count)
            }
        }
        products.run(
            AttentionProducts.Shape(
                batches: [images, heads], rows: count, inner: count, columns: headWidth,
                leftStrides: [heads * count * count, count * count, count, 1],
                rightStrides: [count * width, headWidth, width, 1],
                resultStrides: [count * width, headWidth, width, 1]),
            left: scores, right: values, rightOffset: 0, into: &attended)
        return output(attended, addingTo: residual)
    }
}

/// The batched products of attention, compiled once for each shape.
private final class AttentionProducts: Sendable {
    /// Extents and strides in elements, outermost axis first: `[images, heads, rows, columns]`.
    struct Shape: Hashable {
        var batches: [Int]
        var rows: Int
        var inner: Int
        var columns: Int
        var leftStrides: [Int]
        var rightStrides: [Int]
        var resultStrides: [Int]
    }

    private static let compiledLimit = 16
    private let compiled = Mutex<[Shape: Operation]>([:])

    /// `result[i, h] = left[i, h] right[i, h]` for every image i and head h.
    func run(_ shape: Shape, left: Tensor, right: Tensor, rightOffset: Int, into result: inout Tensor) {
        let operation = compiled.withLock { compiled in
            if let known = compiled[shape] { return known }
            // Two shapes serve a model; more come only with batches of other sizes.
            if compiled.count >= Self.compiledLimit { compiled = [:] }
            let new = compile(shape)
            compiled[shape] = new
            return new
        }
        result.withMutableElements { result in
            guard let destination = result.baseAddress, !result.isEmpty else { return }
            withExtendedLifetime((left, right)) {
                operation.run(
                    source: left.pointer, weights: UnsafeRawPointer(right.pointer + rightOffset), bias: nil,
                    destination: destination)
            }
        }
    }

    private func compile(_ shape: Shape) -> Operation {
        func four(_ values: [Int]) -> (Int64, Int64, Int64, Int64) {
            (Int64(values[0]), Int64(values[1]), Int64(values[2]), Int64(values[3]))
        }
        var bridged = onednn_batched_product(
            batches: (Int64(shape.batches[0]), Int64(shape.batches[1])), rows: Int64(shape.rows),
            inner: Int64(shape.inner), columns: Int64(shape.columns), left_strides: four(shape.leftStrides),
            right_strides: four(shape.rightStrides), result_strides: four(shape.resultStrides))
        return Operation("attention of \(shape)") { onednn_batched_product_create(&bridged, $0) }
    }
}
