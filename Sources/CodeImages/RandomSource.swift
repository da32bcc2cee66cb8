#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Random numbers that a seed decides: the same on every machine and thread.
///
/// - Source: SplitMix64, G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
struct RandomSource: RandomNumberGenerator {
    private var state: UInt64

    /// - Parameter stream: sources of one seed and different streams have nothing in common.
    init(seed: UInt64, stream: UInt64) {
        state = Self.mixed(seed) ^ Self.mixed(stream &* 0xD1B5_4A32_D192_ED03 &+ 1)
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return Self.mixed(state)
    }

    private static func mixed(_ value: UInt64) -> UInt64 {
        var bits = value
        bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
        return bits ^ (bits >> 31)
    }

    /// 0 ..< 1.
    mutating func unit() -> Float { Float(next() >> 40) * 0x1p-24 }

    mutating func value(in range: ClosedRange<Float>) -> Float {
        range.lowerBound + unit() * (range.upperBound - range.lowerBound)
    }

    /// Every factor in the range is as likely as any other.
    mutating func logarithmic(in range: ClosedRange<Float>) -> Float {
        range.lowerBound * exp(unit() * log(range.upperBound / range.lowerBound))
    }

    mutating func whole(in range: ClosedRange<Int>) -> Int {
        range.lowerBound + Int(next() % UInt64(range.count))
    }

    mutating func chance(_ probability: Float) -> Bool { unit() < probability }

    /// Mean 0, deviation 1, within -3.5...3.5: the sum of twelve uniform numbers less 6 would do, four are enough here.
    mutating func normal() -> Float { (unit() + unit() + unit() + unit() - 2) * 1.732_050_8 }

    /// - Precondition: there is something to pick.
    mutating func pick<Element>(_ choices: [Element]) -> Element {
        precondition(!choices.isEmpty, "nothing to pick from")
        return choices[whole(in: 0...choices.count - 1)]
    }

    /// Each choice as often as its weight says.
    mutating func pick<Element>(weighted choices: [(Element, Float)]) -> Element {
        precondition(!choices.isEmpty, "nothing to pick from")
        var rest = unit() * choices.reduce(0) { $0 + $1.1 }
        for (choice, weight) in choices {
            rest -= weight
            if rest < 0 { return choice }
        }
        return choices[choices.count - 1].0
    }
}
