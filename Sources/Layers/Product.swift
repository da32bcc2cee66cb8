import COneDNN
import Tensors

/// A batch of products of two activations, read and written in place by strides: heads need no copy of their own.
///
/// `result[i, j] = left[i, j] right[i, j]` for i and j over two batch axes, `[rows, inner] x [inner, columns]` each.
package struct Product: Sendable, Hashable {
    /// Distances in elements: `[first batch axis, second batch axis, rows, columns]`.
    package typealias Strides = SIMD4<Int64>

    package var batches: SIMD2<Int64>
    package var rows: Int
    package var inner: Int
    package var columns: Int
    package var leftStrides: Strides
    package var rightStrides: Strides
    package var resultStrides: Strides
    /// Adds to what the result holds instead of replacing it.
    package var accumulates: Bool
    /// For use inside a parallel loop: the product runs on the thread that calls it.
    package var runsOnOneThread: Bool
    /// Each thread computes a part of the rows or columns on its own, for a single product that is large: faster, but with last
    /// bits that depend on the number of threads.
    package var isCutUp = false
    /// How the factors lie in memory; the result is float32.
    private var factors = Encoding.float32

    package init(
        batches: (Int, Int) = (1, 1), rows: Int, inner: Int, columns: Int, leftStrides: Strides, rightStrides: Strides,
        resultStrides: Strides, accumulates: Bool = false, runsOnOneThread: Bool = false
    ) {
        self.batches = [Int64(batches.0), Int64(batches.1)]
        self.rows = rows
        self.inner = inner
        self.columns = columns
        self.leftStrides = leftStrides
        self.rightStrides = rightStrides
        self.resultStrides = resultStrides
        self.accumulates = accumulates
        self.runsOnOneThread = runsOnOneThread
    }

    /// The product ready to run, compiled once for each shape and number of threads.
    package func compiled() -> Operation {
        if runsOnOneThread {
            return Parallel.withThreadCount(1) { Self.cache.operation(for: self, compile: compile) }
        }
        return Self.cache.operation(for: self, compile: compile)
    }

    /// Runs the product on whole tensors, whose elements from the offsets on the strides must not leave.
    package func run(
        left: Tensor, leftOffset: Int = 0, right: Tensor, rightOffset: Int = 0,
        into result: inout Tensor, resultOffset: Int = 0
    ) {
        result.withMutableElements { result in
            guard let destination = result.baseAddress, !result.isEmpty else { return }
            withExtendedLifetime((left, right)) {
                run(
                    left: left.pointer + leftOffset, right: right.pointer + rightOffset,
                    into: destination + resultOffset)
            }
        }
    }

    /// Runs the product on factors as they are.
    ///
    /// - Precondition: both are of one precision.
    package func run(left: Factor, right: Factor, into result: inout Tensor) {
        precondition(left.encoding == right.encoding, "a product of \(left.encoding) and \(right.encoding)")
        guard rows > 0, columns > 0, batches[0] > 0, batches[1] > 0 else { return }
        var product = self
        product.factors = left.encoding
        result.withMutableElements { result in
            guard let destination = result.baseAddress else { return }
            withExtendedLifetime((left, right)) {
                product.run(left: left.pointer, right: right.pointer, destination: destination)
            }
        }
    }

    /// Runs the product on float32 memory that the caller answers for.
    package func run(
        left: UnsafePointer<Float>, right: UnsafePointer<Float>, into result: UnsafeMutablePointer<Float>
    ) {
        guard rows > 0, columns > 0, batches[0] > 0, batches[1] > 0 else { return }
        run(left: UnsafeRawPointer(left), right: UnsafeRawPointer(right), destination: result)
    }

    /// Runs the product as one, or cut up among the threads.
    private func run(left: UnsafeRawPointer, right: UnsafeRawPointer, destination: UnsafeMutablePointer<Float>) {
        let cuts = cuts()
        guard cuts.count > 2 else {
            return compiled().run(source: left, weights: right, bias: nil, destination: destination)
        }
        let size = factors.size
        Parallel.forRanges(cuts.count - 1) { parts in
            for part in parts {
                let (start, count) = (cuts[part], cuts[part + 1] - cuts[part])
                var product = self
                product.isCutUp = false
                if cutsRows {
                    product.rows = count
                    product.compiled().run(
                        source: left + start * Int(leftStrides[2]) * size, weights: right, bias: nil,
                        destination: destination + start * Int(resultStrides[2]))
                } else {
                    product.columns = count
                    product.compiled().run(
                        source: left, weights: right + start * Int(rightStrides[3]) * size, bias: nil,
                        destination: destination + start * Int(resultStrides[3]))
                }
            }
        }
    }

    /// Whether threads share the rows, or else the columns: the longer ones.
    private var cutsRows: Bool { rows >= columns }

    /// Where the rows or columns of a large product are cut among the threads, from 0 to their number.
    ///
    /// oneDNN 2.6.3 shares a matrix product whose right-hand side it has not packed less evenly: in a training step of the base
    /// model the largest take 1.6 to 1.9 times as long on one thread as on its two. Cut up here, a step took 973 ms for 1,003.
    private func cuts() -> [Int] {
        let extent = cutsRows ? rows : columns
        let threads = Parallel.threadCount
        let work = rows * inner * columns
        guard isCutUp, threads > 1, batches == [1, 1], work >= Self.sharedWork else { return [0, extent] }
        let part = (extent + threads * Self.grain - 1) / (threads * Self.grain) * Self.grain
        return Array(stride(from: 0, to: extent, by: part)) + [extent]
    }

    /// Multiplications from which on threads share a product.
    private static let sharedWork = 1 << 22
    /// Rows or columns that a kernel takes at once.
    private static let grain = 32

    private static let cache = OperationCache<Product>(limit: 3072)

    private func compile() -> Operation {
        func four(_ strides: Strides, _ rows: Int, _ columns: Int) -> (Int64, Int64, Int64, Int64) {
            // The stride of an axis of one does not matter, but oneDNN's fast products look at it.
            let matrix = max(Int64(rows) * strides[2], Int64(columns) * strides[3])
            let second = batches[1] == 1 ? matrix : strides[1]
            let first = batches[0] == 1 ? max(matrix, batches[1] * second) : strides[0]
            return (first, second, strides[2], strides[3])
        }
        var bridged = onednn_batched_product(
            batches: (batches[0], batches[1]), rows: Int64(rows), inner: Int64(inner), columns: Int64(columns),
            left_strides: four(leftStrides, rows, inner),
            right_strides: four(rightStrides, inner, columns), result_strides: four(resultStrides, rows, columns),
            types: onednn_types(factors: factors.bridged, result: onednn_float32), adds_destination: accumulates ? 1 : 0
        )
        return Operation("\(self)") { onednn_batched_product_create(&bridged, $0) }
    }
}

extension Product {
    /// `left right` of two matrices: `[rows, inner]`, `[inner, columns]`.
    ///
    /// - Parameters:
    ///   - transposingLeft: `left` lies in memory as `[inner, rows]`.
    ///   - transposingRight: `right` lies in memory as `[columns, inner]`.
    package static func matrices(
        rows: Int, inner: Int, columns: Int, transposingLeft: Bool = false, transposingRight: Bool = false,
        accumulates: Bool = false, runsOnOneThread: Bool = false, isCutUp: Bool = false
    ) -> Product {
        func strides(_ first: Int, _ second: Int, transposed: Bool) -> Strides {
            let whole = Int64(first * second)
            return transposed ? [whole, whole, 1, Int64(first)] : [whole, whole, Int64(second), 1]
        }
        var product = Product(
            rows: rows, inner: inner, columns: columns,
            leftStrides: strides(rows, inner, transposed: transposingLeft),
            rightStrides: strides(inner, columns, transposed: transposingRight),
            resultStrides: strides(rows, columns, transposed: false), accumulates: accumulates,
            runsOnOneThread: runsOnOneThread)
        product.isCutUp = isCutUp
        return product
    }
}
