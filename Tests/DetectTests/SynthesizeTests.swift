import Checkpoint
import Foundation
import TestSupport
import Testing

@Suite struct SynthesizeTests {
    private static let quick = ["synthesize", "--output", "codes", "--images", "6", "--seed", "3", "--size", "96-160"]

    @Test func threadsDoNotChangeAByte() throws {
        let folders = try ["1", "3"].map { threads in
            let folder = try TemporaryFolder()
            let result = try Command.run(Self.quick + ["--threads", threads], in: folder)
            #expect(result.status == 0, "\(result.error)")
            #expect(result.output.isEmpty)
            #expect(result.error.contains("wrote 6 images"))
            return folder
        }
        let files = folders[0].files(in: "codes/images").sorted()
        #expect(files == (1...6).map { "00000\($0).jpg" })
        for file in files.map({ "codes/images/" + $0 }) + ["codes/annotations.json"] {
            #expect(try folders[0].bytes(file) == folders[1].bytes(file), "\(file)")
        }
    }

    @Test func annotationsAreCOCO() throws {
        let folder = try TemporaryFolder()
        #expect(try Command.run(Self.quick + ["--quiet"], in: folder).error.isEmpty)
        let value = try JSONValue(parsing: folder.bytes("codes/annotations.json"), origin: "annotations.json")
        guard case .array(let images)? = value["images"], case .array(let annotations)? = value["annotations"],
            case .array(let categories)? = value["categories"]
        else {
            Issue.record("\(value)")
            return
        }
        #expect(images.count == 6)
        #expect(
            categories.map { $0["name"] }
                == ["qr_code", "data_matrix", "aztec", "pdf417", "linear"].map { .string($0) })
        #expect(!annotations.isEmpty)
        let imageIDs = images.map { $0["id"] }
        for annotation in annotations {
            #expect(imageIDs.contains(annotation["image_id"]))
            #expect(categories.contains { $0["id"] == annotation["category_id"] })
            #expect(annotation["iscrowd"] == .integer(0))
            #expect(annotation["area"] != nil)
        }
    }

    @Test func aDatasetIsNotReplaced() throws {
        let folder = try TemporaryFolder()
        #expect(try Command.run(Self.quick, in: folder).status == 0)
        let second = try Command.run(Self.quick, in: folder)
        #expect(second.status == 64)
        #expect(second.error.contains("codes holds a dataset already"), "\(second.error)")
    }

    @Test(arguments: [
        (["--images", "0"], "--images"), (["--images", "2", "--size", "9"], "--size"),
        (["--images", "2", "--size", "500-400"], "--size"), (["--images", "2", "--threads", "0"], "--threads"),
    ])
    func wrongCallsAreRefused(_ arguments: [String], _ word: String) throws {
        let result = try Command.run(["synthesize", "--output", "codes"] + arguments, in: TemporaryFolder())
        #expect(result.status == 64)
        #expect(result.error.contains(word), "\(result.error)")
    }
}
