// Seeded damage to good files: any outcome is right but a crash or a hang.

import Checkpoint
import Foundation
import TestSupport
import Testing

@Suite struct MutationTests {
    /// So many damaged copies of each file; `DETECT_MUTATIONS` in the environment asks for a longer run.
    private static let rounds = ProcessInfo.processInfo.environment["DETECT_MUTATIONS"].flatMap(Int.init) ?? 400

    @Test(arguments: [
        "types.safetensors", "layouts-zip.pth", "layouts-legacy.pth", "layouts-protocol3.pth", "layouts-protocol4.pth",
        "layouts-protocol5.pth",
    ])
    func damagedFilesNeverCrash(_ name: String) throws {
        let folder = try TemporaryFolder()
        let original = [UInt8](try Data(contentsOf: URL(fileURLWithPath: Fixture.path(name))))
        var generator = SplitMix(state: UInt64(original.count))
        var accepted = 0
        for _ in 0..<Self.rounds {
            let path = try folder.write(damaged(original, &generator), as: "damaged")
            do {
                let file = try WeightFile.open(path)
                for name in file.names { _ = try file.tensor(name).elements.count }
                accepted += 1
            } catch let error as CheckpointError {
                #expect(!error.description.isEmpty)
            }
        }
        #expect(accepted < Self.rounds, "damage that nothing notices would mean that nothing is checked")
    }

    private func damaged(_ original: [UInt8], _ generator: inout SplitMix) -> [UInt8] {
        var bytes = original
        for _ in 0...Int.random(in: 0..<4, using: &generator) {
            let position = Int.random(in: 0..<bytes.count, using: &generator)
            switch Int.random(in: 0..<6, using: &generator) {
            case 0: bytes[position] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            case 1: bytes[position] = UInt8.random(in: 0...255, using: &generator)
            case 2: bytes[position] = [0, 0x7F, 0x80, 0xFF].randomElement(using: &generator) ?? 0
            case 3: bytes.removeSubrange(position..<min(bytes.count, position + Int.random(in: 1...9, using: &generator)))
            case 4: bytes.insert(contentsOf: bytes[position..<min(bytes.count, position + 8)], at: position)
            default:
                for offset in 0..<min(8, bytes.count - position) { bytes[position + offset] = 0xFF }
            }
            if bytes.isEmpty { bytes = [0] }
        }
        return bytes
    }
}

/// Steele et al., "Fast splittable pseudorandom number generators", 2014.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }
}
