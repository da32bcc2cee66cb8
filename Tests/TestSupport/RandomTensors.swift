import Tensors

/// A small generator with a seed, so that a failing test fails again.
///
/// - Source: SplitMix64 (Steele, Lea, Flood 2014).
public struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// Elements drawn evenly from `range`.
    public mutating func tensor(_ shape: Shape, in range: ClosedRange<Float> = -1...1) -> Tensor {
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
