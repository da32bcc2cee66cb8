import Foundation

/// Seeded damage to good files: flipped bits, extreme bytes, parts cut out or doubled.
public enum Mutation {
    /// How many damaged copies of each file a test tries; `DETECT_MUTATIONS` in the environment asks for a longer run.
    public static let rounds = ProcessInfo.processInfo.environment["DETECT_MUTATIONS"].flatMap(Int.init) ?? 400

    /// A copy of `original` with one to four wounds in its first `range` bytes.
    public static func damaged(
        _ original: [UInt8], within range: Int = .max, _ generator: inout some RandomNumberGenerator
    ) -> [UInt8] {
        var bytes = original
        for _ in 0...Int.random(in: 0..<4, using: &generator) {
            let position = Int.random(in: 0..<min(range, bytes.count), using: &generator)
            switch Int.random(in: 0..<6, using: &generator) {
            case 0: bytes[position] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            case 1: bytes[position] = UInt8.random(in: 0...255, using: &generator)
            case 2: bytes[position] = [0, 0x7F, 0x80, 0xFF].randomElement(using: &generator) ?? 0
            case 3:
                bytes.removeSubrange(position..<min(bytes.count, position + Int.random(in: 1...9, using: &generator)))
            case 4: bytes.insert(contentsOf: bytes[position..<min(bytes.count, position + 8)], at: position)
            default: for offset in 0..<min(8, bytes.count - position) { bytes[position + offset] = 0xFF }
            }
            if bytes.isEmpty { bytes = [0] }
        }
        return bytes
    }
}
