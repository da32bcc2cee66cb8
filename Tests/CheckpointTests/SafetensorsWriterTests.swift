// That Python's safetensors opens such a file is checked by tools/check_safetensors.py.

import Checkpoint
import Foundation
import TestSupport
import Tensors
import Testing

@Suite struct SafetensorsWriterTests {
    private let folder: TemporaryFolder
    private let source = TensorDictionary([
        "a": Tensor([3], [1, 2, 3]), "b \"quoted\"\n\u{1}\u{1F600}": Tensor([2, 9], (0..<18).map(Float.init)),
        "scalar": Tensor([], [-4]),
        "empty": Tensor([0, 2], []), "c": Tensor([16], repeating: 0.25),
    ])

    init() throws { folder = try TemporaryFolder() }

    @Test(arguments: [4, 64, 4096])
    func readsBackAligned(_ alignment: Int) throws {
        let path = "\(folder.path)/w.bin"
        let metadata = ["format": "pt", "quote\\": "line\n\"end\"\t\u{e9}"]
        try SafetensorsWriter.write(source, to: path, metadata: metadata, alignment: alignment)
        let file = try WeightFile.open(path)
        #expect(file.names == source.names)
        #expect(file.metadata == metadata)
        for entry in file.entries {
            #expect(entry.byteOffset % alignment == 0, "\(entry.name)")
            #expect(entry.shape == source.shape(of: entry.name))
            #expect(try file.tensor(entry.name).elements == source.tensor(entry.name).elements)
        }
    }

    /// Whole numbers are read in units of what stands beside them, by whoever reads the file.
    @Test func wholeNumbersAndHalves() throws {
        let path = "\(folder.path)/w8.bin"
        let values: [Float] = [-127, 0.5, 1.5, 200, -300, .nan]
        let tensors = TensorDictionary([
            "weight": Tensor([2, 3], values), "weight_step": Tensor([2], [0.5, 2]), "plain": Tensor([6], values),
            "half": Tensor([3], [1, 1 + 0x1p-8, 1 + 3 * 0x1p-8]),
        ])
        try SafetensorsWriter.write(tensors, to: path) {
            ["weight": .int8, "plain": .int8, "half": .bfloat16][$0] ?? .float32
        }
        let file = try WeightFile.open(path)
        #expect(try file.tensor("weight").elements == [-63.5, 0, 1, 254, -254, 0])
        #expect(try file.stored("weight")().elements == [-63.5, 0, 1, 254, -254, 0])
        #expect(try file.tensor("plain").elements == [-127, 0, 2, 127, -127, 0])
        #expect(try file.tensor("half").elements == [1, 1, 1 + 0x1p-6])

        let other = TensorDictionary(["weight": Tensor([2, 3], values), "weight_step": Tensor([3], repeating: 1)])
        try SafetensorsWriter.write(other, to: path) { $0 == "weight" ? .int8 : .float32 }
        #expect(throws: CheckpointError.self) { try WeightFile.open(path).tensor("weight") }
    }

    @Test func naturalAlignmentNeedsNoPadding() throws {
        let path = "\(folder.path)/dump.safetensors"
        try SafetensorsWriter.write(source, to: path)
        #expect(
            !String(decoding: try Data(contentsOf: URL(fileURLWithPath: path)), as: UTF8.self).contains("__padding__"))
    }

    @Test func failureLeavesNothingBehind() throws {
        struct Failing: TensorSource {
            let origin = "failing"
            let names = ["a"]
            func shape(of name: String) -> Shape? { [2] }
            func tensor(_ name: String) throws -> Tensor {
                throw CheckpointError.missingTensor(path: origin, name: name, expected: [2])
            }
        }
        #expect(throws: CheckpointError.self) { try SafetensorsWriter.write(Failing(), to: "\(folder.path)/w.bin") }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    }
}
