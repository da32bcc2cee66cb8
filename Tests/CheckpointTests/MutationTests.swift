// Seeded damage to good files: any outcome is right but a crash or a hang.

import Checkpoint
import Foundation
import TestSupport
import Testing

@Suite struct MutationTests {
    @Test(arguments: [
        "types.safetensors", "layouts-zip.pth", "layouts-legacy.pth", "layouts-protocol3.pth", "layouts-protocol4.pth",
        "layouts-protocol5.pth",
    ])
    func damagedFilesNeverCrash(_ name: String) throws {
        let original = [UInt8](try Data(contentsOf: URL(fileURLWithPath: Fixture.path(name))))
        let accepted = try countAccepted(seed: original.count) { Mutation.damaged(original, &$0) }
        #expect(accepted < Mutation.rounds, "damage that nothing notices would mean that nothing is checked")
    }

    /// Past the archive's checksum, so that damage reaches the pickle machine.
    @Test func damagedPicklesNeverCrash() throws {
        let pickle = Pickle().opcode("}").text("model").opcode("}").opcode("(").text("a").tensor(
            shape: [2, 3], strides: [3, 1]
        )
        .text("b").tensor(shape: [2], strides: [2], offset: 1).opcode("u").opcode("s").text("args")
        .global("argparse", "Namespace").opcode(")").adding([0x81]).opcode("}").text("lr").integer(3).opcode("s")
        .opcode("b")
        .opcode("s").opcode(".").bytes
        let accepted = try countAccepted(seed: 5) { torchArchive(Mutation.damaged(pickle, &$0)) }
        #expect(accepted < Mutation.rounds)
        #expect(try countAccepted(seed: 6) { _ in torchArchive(pickle) } == Mutation.rounds)
    }

    private func countAccepted(seed: Int, _ make: (inout SeededGenerator) -> [UInt8]) throws -> Int {
        let folder = try TemporaryFolder()
        var generator = SeededGenerator(seed: UInt64(seed))
        var accepted = 0
        for _ in 0..<Mutation.rounds {
            let path = try folder.write(make(&generator), as: "damaged")
            do {
                let file = try WeightFile.open(path)
                for name in file.names { _ = try file.tensor(name).elements.count }
                accepted += 1
            } catch let error as CheckpointError {
                #expect(!error.description.isEmpty)
            }
        }
        return accepted
    }
}
