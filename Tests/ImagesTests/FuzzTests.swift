import Foundation
import Images
import TestSupport
import Testing

/// Damaged copies of every golden file: an image or an `ImageError`, never a crash.
///
/// `IMAGE_FUZZ_ROUNDS` in the environment makes it longer.
@Suite struct FuzzTests {
    static var rounds: Int { ProcessInfo.processInfo.environment["IMAGE_FUZZ_ROUNDS"].flatMap { Int($0) } ?? 40 }

    @Test(.timeLimit(.minutes(60)))
    func damagedFilesAreSafe() throws {
        var generator = SeededGenerator(seed: 20)
        var refused = 0
        var decoded = 0
        let names = try Golden().cases.map(\.file) + ["hostile-many-scans.jpg", "hostile-text-bomb.png"]
        for name in names {
            let original = try Golden.bytes(name)
            for _ in 0..<Self.rounds {
                let damaged = Self.damage(original, using: &generator)
                let options = DecodingOptions(maximumPixels: 1_000_000, allowsTruncated: Bool.random(using: &generator))
                do throws(ImageError) {
                    let image = try Image(decoding: damaged, source: name, options: options)
                    decoded += 1
                    #expect(image.width * image.height <= 1_000_000)
                } catch {
                    refused += 1
                    #expect(!error.code.isEmpty && !error.description.isEmpty)
                }
            }
        }
        #expect(refused > 0 && decoded > 0)
    }

    private static func damage(_ original: [UInt8], using generator: inout SeededGenerator) -> [UInt8] {
        var bytes = original
        for _ in 0..<Int.random(in: 1...6, using: &generator) {
            guard bytes.count > 4 else { break }
            // Headers are where the interesting numbers are.
            let reach = Bool.random(using: &generator) ? min(bytes.count, 200) : bytes.count
            let position = Int.random(in: 0..<reach, using: &generator)
            switch Int.random(in: 0..<7, using: &generator) {
            case 0: bytes[position] = UInt8.random(in: 0...255, using: &generator)
            case 1: bytes[position] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            case 2: bytes[position] = [0x00, 0x01, 0x7F, 0x80, 0xFF].randomElement(using: &generator) ?? 0
            case 3: bytes.removeLast(Int.random(in: 0..<bytes.count / 2, using: &generator))
            case 4:
                let end = min(bytes.count, position + Int.random(in: 1...40, using: &generator))
                bytes.removeSubrange(position..<end)
            case 5:
                let end = min(bytes.count, position + Int.random(in: 1...40, using: &generator))
                bytes.insert(contentsOf: bytes[position..<end], at: Int.random(in: 0..<bytes.count, using: &generator))
            default:
                for next in position..<min(bytes.count, position + 4) { bytes[next] = 0xFF }
            }
        }
        return bytes
    }
}
