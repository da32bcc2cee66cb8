// Seeded damage to whole models: any outcome is right but a crash or a hang.

import Checkpoint
import DeformDETR
import Foundation
import TestSupport
import Testing

@Suite struct ModelMutationTests {
    /// The first bytes are the header or pickle; most of the rest are numbers, whose damage no one can see.
    @Test(arguments: [
        "base/v4.safetensors", "base/v5.safetensors", "base/legacy.pth", "two-stage/v4.safetensors", "w.bin",
    ])
    func damagedModelsNeverCrash(_ name: String) throws {
        let folder = try TemporaryFolder()
        var source = Fixture.path("checkpoints/\(name)")
        if name == "w.bin" {
            source = "\(folder.path)/w.bin"
            try ModelFile.open(Fixture.path("checkpoints/base/zip.pth")).write(to: source)
        }
        let original = [UInt8](try Data(contentsOf: URL(fileURLWithPath: source)))
        var generator = SeededGenerator(seed: UInt64(original.count))
        var accepted = 0
        for _ in 0..<Mutation.rounds {
            let path = try folder.write(Mutation.damaged(original, within: 16_000, &generator), as: "damaged")
            do {
                let model = try ModelFile.open(path)
                let cursor = model.cursor(allowsNonfinite: true)
                for tensor in model.configuration.tensors { _ = try cursor.tensor(tensor.name, tensor.shape) }
                accepted += 1
            } catch let error as CheckpointError {
                #expect(!error.description.isEmpty)
            }
        }
        #expect(accepted < Mutation.rounds)
    }
}
