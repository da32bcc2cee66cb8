import CKernels
import Tensors

extension Tensor {
    /// The elementwise sum of two tensors of one shape.
    public consuming func adding(_ other: Tensor) -> Tensor {
        precondition(shape == other.shape, "cannot add \(other.shape) to \(shape)")
        let count = count
        return rewritten { source, target in
            withExtendedLifetime(other) {
                Parallel.forRanges(count, minimumPerThread: 1 << 15) { range in
                    let start = range.lowerBound
                    rows_add(Int64(range.count), source + start, other.pointer + start, target + start)
                }
            }
        }
    }
}

extension Tensor {
    /// The given columns (indices of the last axis) of every row; a copy.
    public func columns(_ range: Range<Int>) -> Tensor {
        let width = shape.last
        precondition(range.lowerBound >= 0 && range.upperBound <= width, "columns \(range) of \(shape)")
        return Tensor(Shape(shape.dimensions.dropLast() + [range.count])) { output in
            withElements { elements in
                for row in 0..<count / max(1, width) {
                    _ = output[row * range.count..<(row + 1) * range.count]
                        .update(
                            fromContentsOf: elements[row * width + range.lowerBound..<row * width + range.upperBound])
                }
            }
        }
    }

    /// The given rows, counted over all axes but the last: `[..., C]` to `[rows, C]`.
    public func gatheringRows(_ rows: [Int]) -> Tensor {
        let width = shape.last
        return Tensor([rows.count, width]) { output in
            withElements { elements in
                for (index, row) in rows.enumerated() {
                    _ = output[index * width..<(index + 1) * width]
                        .update(fromContentsOf: elements[row * width..<(row + 1) * width])
                }
            }
        }
    }
}

extension Tensor {
    /// Rows as columns: `[rows, columns]` to `[columns, rows]`; a copy.
    package func transposed() -> Tensor {
        precondition(shape.rank == 2, "\(shape) is no matrix")
        let (rows, columns) = (shape[0], shape[1])
        return Tensor([columns, rows]) { output in
            withElements { elements in
                for row in 0..<rows {
                    for column in 0..<columns { output[column * rows + row] = elements[row * columns + column] }
                }
            }
        }
    }
}
