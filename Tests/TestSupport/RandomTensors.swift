@_exported import struct Tensors.SeededGenerator
import Tensors

extension SeededGenerator {
    /// Elements drawn evenly from `range`.
    package mutating func tensor(_ shape: Shape, in range: ClosedRange<Float> = -1...1) -> Tensor {
        Tensor(shape, (0..<shape.count).map { _ in Float.random(in: range, using: &self) })
    }
}

/// The largest difference between two tensors' elements, relative to the largest element of `expected` (at least 1e-30).
/// Infinity when the shapes differ or an element is NaN.
public func relativeError(_ actual: Tensor, _ expected: Tensor) -> Float {
    guard actual.shape == expected.shape else { return .infinity }
    let expected = expected.elements
    let largest = expected.reduce(1e-30) { max($0, abs($1)) }
    var worst: Float = 0
    for (left, right) in zip(actual.elements, expected) {
        let difference = abs(left - right)
        guard difference.isFinite else { return .infinity }
        worst = max(worst, difference)
    }
    return worst / largest
}
