import Foundation
import Tensors

extension SeededGenerator {
    /// A sequence of its own for each name, so that no tensor's numbers depend on which others are drawn.
    ///
    /// - Source: FNV-1a (Fowler, Noll, Vo) for the name.
    init(seed: UInt64, name: String) {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        var mixer = SeededGenerator(seed: seed)
        self.init(seed: mixer.next() ^ hash)
    }

    /// Evenly from `-bound ..< bound`.
    mutating func uniform(_ shape: Shape, bound: Double) -> Tensor {
        Tensor(shape) { elements in
            for index in elements.indices { elements[index] = Float((2 * unit() - 1) * bound) }
        }
    }

    /// From the normal distribution around 0 (the transform of Box and Muller, 1958, which gives two numbers at a time).
    mutating func normal(_ shape: Shape, deviation: Double) -> Tensor {
        Tensor(shape) { elements in
            for index in stride(from: 0, to: elements.count, by: 2) {
                // 1 - unit() is never 0.
                let radius = deviation * (-2 * log(1 - unit())).squareRoot()
                let angle = 2 * Double.pi * unit()
                elements[index] = Float(radius * cos(angle))
                if index + 1 < elements.count { elements[index + 1] = Float(radius * sin(angle)) }
            }
        }
    }

    /// 0 ..< 1 in steps of 2^-53.
    mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

    mutating func value(in range: ClosedRange<Double>) -> Double {
        range.lowerBound + unit() * (range.upperBound - range.lowerBound)
    }

    mutating func whole(in range: ClosedRange<Int>) -> Int {
        range.lowerBound + Int(next().multipliedFullWidth(by: UInt64(range.count)).high)
    }

    mutating func chance(_ probability: Double) -> Bool { unit() < probability }

    /// - Precondition: there is something to pick.
    mutating func pick<Element>(_ choices: [Element]) -> Element {
        precondition(!choices.isEmpty, "nothing to pick from")
        return choices[whole(in: 0...choices.count - 1)]
    }
}
