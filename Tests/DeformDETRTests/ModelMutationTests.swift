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
        "w8.bin",
    ])
    func damagedModelsNeverCrash(_ name: String) throws {
        let folder = try TemporaryFolder()
        var source = Fixture.path("checkpoints/\(name)")
        if name == "w.bin" {
            source = "\(folder.path)/w.bin"
            try ModelFile.open(Fixture.path("checkpoints/base/zip.pth")).write(to: source)
        }
        if name == "w8.bin" {
            source = "\(folder.path)/w8.bin"
            let file = try ModelFile.open(Fixture.path("checkpoints/base/zip.pth"))
            let calibrator = try Calibrator(file, preprocessing: Preprocessing(shorterSide: 64, longestSide: 64))
            try calibrator.observe(Image(width: 64, height: 64, pixels: Array(repeating: 99, count: 64 * 64 * 3)))
            try file.write(to: source, precision: .int8, calibration: calibrator.calibration)
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
                if model.precision == .int8 {
                    _ = try DeformableDETR(cursor, configuration: model.configuration, precision: .int8)
                }
                accepted += 1
            } catch let error as CheckpointError {
                #expect(!error.description.isEmpty)
            }
        }
        #expect(accepted < Mutation.rounds)
    }
}
