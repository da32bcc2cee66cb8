import Tensors

/// The numbers `0 ..< count` in an order that a seed fixes, each found without the others: no thread waits for a list.
///
/// - Source: a balanced Feistel network (Luby, Rackoff, "How to construct pseudorandom permutations from pseudorandom functions",
///   1988) on the next even number of bits, walked until the number lies in the range (Black, Rogaway, "Ciphers with arbitrary
///   finite domains", 2002): fewer than four steps on average, as the network's domain is less than four times the range.
package struct Permutation: Sendable, Hashable {
    package let count: Int
    private let seed: UInt64
    /// Of half a number.
    private let bitCount: Int

    /// As few halves as in small ranges take more rounds than the four that are proven enough for large ones.
    private static let rounds: UInt64 = 8

    /// - Precondition: `count` is positive.
    package init(count: Int, seed: UInt64) {
        precondition(count > 0, "a permutation of \(count) numbers")
        self.count = count
        self.seed = SeededGenerator.mixed(seed)
        bitCount = max(1, (Int.bitWidth - (count - 1).leadingZeroBitCount + 1) / 2)
    }

    /// The number at a position in `0 ..< count`.
    package subscript(position: Int) -> Int {
        precondition((0..<count).contains(position), "position \(position) of \(count)")
        var number = UInt64(position)
        repeat { number = encrypted(number) } while number >= UInt64(count)
        return Int(number)
    }

    private func encrypted(_ number: UInt64) -> UInt64 {
        let mask = (UInt64(1) << UInt64(bitCount)) - 1
        var (left, right) = (number >> UInt64(bitCount), number & mask)
        for round in 0..<Self.rounds {
            let key = SeededGenerator.mixed(seed &+ (round << 56 | right))
            (left, right) = (right, left ^ (key & mask))
        }
        return left << UInt64(bitCount) | right
    }
}
