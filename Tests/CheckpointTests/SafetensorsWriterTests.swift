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
