import Tensors

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// What scenes are drawn by: numbers of many distributions that a seed decides.
struct RandomSource: RandomNumberGenerator {
    private var generator: SeededGenerator

    /// - Parameter stream: sources of one seed and different streams have nothing in common.
    init(seed: UInt64, stream: UInt64) {
        let ofStream = SeededGenerator.mixed(stream &* 0xD1B5_4A32_D192_ED03 &+ 1)
        generator = SeededGenerator(seed: SeededGenerator.mixed(seed) ^ ofStream)
    }

    mutating func next() -> UInt64 { generator.next() }

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
