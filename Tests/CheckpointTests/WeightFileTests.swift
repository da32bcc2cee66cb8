// Golden files: tools/golden_checkpoints.py (torch 2.15.0, safetensors 0.8.0). Values are compared bit by bit: every conversion to float32
// here is exact or rounds as PyTorch does.

import Checkpoint
import Foundation
import TestSupport
import Tensors
import Testing

@Suite struct WeightFileTests {
    @Test func safetensorsOfEveryType() throws {
        let file = try WeightFile.open(Fixture.path("types.safetensors"))
        let expected = try WeightFile.open(Fixture.path("layouts-expected.safetensors"))
        #expect(file.format == .safetensors)
        #expect(file.metadata == ["note": "a \"quoted\" line\nand \u{e9}"])
        #expect(file.entries.count == 12)
        for name in file.names { try expectEqual(file, expected, name) }
        #expect(file.entry(named: "f16")?.elementType == .float16)
        #expect(file.entry(named: "f16")?.byteCount == 16)
        #expect(file.shape(of: "scalar") == [])
        #expect(file.shape(of: "empty") == [0, 3])
        #expect(file.shape(of: "absent") == nil)
    }

    @Test(arguments: ["zip", "legacy", "protocol3", "protocol4", "protocol5"])
    func torchFilesOfEveryLayout(_ kind: String) throws {
        let file = try WeightFile.open(Fixture.path("layouts-\(kind).pth"))
        let expected = try WeightFile.open(Fixture.path("layouts-expected.safetensors"))
        #expect(file.format == (kind == "legacy" ? .torchStream : .torchArchive))
        #expect(Set(file.names) == Set(expected.names))
        for name in expected.names { try expectEqual(file, expected, name) }
        let shared = try #require(file.entry(named: "shared"))
        #expect(try #require(file.entry(named: "f32")).isAlias(of: shared))
        #expect(!(try #require(file.entry(named: "transposed")).isAlias(of: shared)))
        #expect(file.warnings.isEmpty)
    }

    private func expectEqual(_ file: WeightFile, _ expected: WeightFile, _ name: String) throws {
        let found = try file.tensor(name)
        let wanted = try expected.tensor(name)
        #expect(found.shape == wanted.shape, "\(name)")
        #expect(found.elements.map(\.bitPattern) == wanted.elements.map(\.bitPattern), "\(name)")
    }

    @Test func sideDataIsInert() throws {
        let pickle = Pickle().opcode("}").text("model").opcode("}").text("weight").tensor(shape: [6], strides: [1])
            .opcode("s")
            .opcode("s").text("args").global("argparse", "Namespace").opcode(")").adding([0x81]).opcode("}")
            .text("heads").integer(-8).opcode("s").text("names").opcode("]").text("a").opcode("a").opcode("s").text(
                "self"
            )
            .tensor(shape: [6], strides: [1]).opcode("s").opcode("b").opcode("s").text("epoch").integer(3).opcode("s")
            .opcode(".")
        let file = try WeightFile.open(folder.write(torchArchive(pickle.bytes), as: "side.pth"))
        #expect(file.names == ["weight"])
        let arguments = SideValue.dictionary(["heads": .integer(-8), "names": .list([.string("a")]), "self": .omitted])
        #expect(file.sideData == .dictionary(["args": arguments, "epoch": .integer(3)]))
    }

    /// Shared parts are met again and again: a short pickle must not become a large or slow tree.
    @Test func sharedSideDataStaysSmall() throws {
        var pickle = Pickle().opcode("}").text("model").opcode("}").text("weight").tensor(shape: [6], strides: [1])
            .opcode("s")
            .opcode("s").text("args").opcode("N")
        for _ in 0..<1000 { pickle = pickle.opcode("2").adding([0x86]) }
        let bytes = pickle.opcode("s").opcode(".").bytes
        let path = try folder.write(torchArchive(bytes), as: "shared.pth")
        let duration = try ContinuousClock().measure { _ = try WeightFile.open(path) }
        #expect(duration < .seconds(1))
    }

    /// The mistakes that people make with names get an answer that helps.
    @Test(arguments: [
        ("", "an empty file"), ("version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("<!DOCTYPE html>", "web page"),
        ("{\"model_type\": \"deformable_detr\"}", "not its configuration"), ("GIF89a-and-so-on", "47 49 46"),
    ])
    func otherFilesAreNamed(_ content: String, _ hint: String) throws {
        let path = try folder.write(Array(content.utf8), as: "model.pth")
        let error = try #require(throws: CheckpointError.self) { try WeightFile.open(path) }
        #expect(error.code == "unknown_weights_format")
        #expect(error.description.contains(hint))
        #expect(error.description.contains(path))
    }

    @Test func missingFilesAndFolders() throws {
        #expect(throws: FileError.self) { try WeightFile.open("\(folder.path)/absent.pth") }
        #expect(throws: FileError.self) { try WeightFile.open(folder.path) }
    }

    @Test func damagedRecordIsFoundWhenRead() throws {
        var bytes = torchArchive(Pickle.dictionary { $0.tensor(shape: [6], strides: [1]) })
        let data = try #require(bytes.indices.first { bytes[$0...].starts(with: Array("archive/data/0".utf8)) }) + 14
        bytes[data + 5] = 1
        let file = try WeightFile.open(folder.write(bytes, as: "damaged.pth"))
        let error = try #require(throws: CheckpointError.self) { try file.tensor("weight") }
        #expect(error.code == "weights_checksum")
        #expect(error.description.contains("archive/data/0"))
    }

    @Test func absentChecksumIsAWarning() throws {
        let pickle = Pickle.dictionary { $0.tensor(shape: [6], strides: [1]) }
        let records = [
            ZipRecord(name: "a/data.pkl", data: pickle, checksum: 0),
            ZipRecord(name: "a/data/0", data: [UInt8](repeating: 7, count: 24), checksum: 0),
        ]
        let file = try WeightFile.open(folder.write(zip(records), as: "unchecked.pth"))
        #expect(file.warnings.count == 1)
        #expect(try file.tensor("weight").elements.count == 6)
    }

    /// Layers keep biases and norms as they were read: a file that is rewritten or shortened must not reach them.
    @Test func smallTensorsOutliveTheirFile() throws {
        let path = "\(folder.path)/short-lived.safetensors"
        var tensors = TensorDictionary()
        tensors["bias"] = Tensor([16 * 1024 - 1], repeating: 3)
        try SafetensorsWriter.write(tensors, to: path)
        let bias = try WeightFile.open(path).tensor("bias")
        #expect(truncate(path, 0) == 0)
        #expect(bias.elements.allSatisfy { $0 == 3 })
    }

    @Test func manyTensorsOpen() throws {
        let fields = (0..<65_536).map {
            "\"layer.\($0).weight\":{\"dtype\":\"U8\",\"shape\":[1,1],\"data_offsets\":[\($0),\($0 + 1)]}"
        }
        let bytes = safetensors("{\(fields.joined(separator: ","))}", data: 65_536)
        let path = try folder.write(bytes, as: "many.safetensors")
        let clock = ContinuousClock()
        var count = 0
        let duration = try clock.measure { count = try WeightFile.open(path).entries.count }
        #expect(count == 65_536)
        #expect(duration < .seconds(5), "0.2 s on an idle machine")
    }

    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }
}
