// Where files go: names that mirror the inputs and never meet, and inputs that are never overwritten.

import Foundation
import TestSupport
import Testing

@Suite struct OutputTests {
    private let image = Pictures.png(width: 40, height: 32)

    @Test func namesMirrorTheInputTree() throws {
        let folder = try TemporaryFolder()
        for name in ["a/x.png", "b/x.png", "b/deep/er/y.png"] { try folder.add(image, as: "in/\(name)") }
        try folder.add(try Pictures.jpeg(), as: "in/x.jpg")
        try folder.add(image, as: "in/x.png")
        try folder.add(image, as: "in/bare")
        try folder.add(image, as: "in/wrong.jpg")
        let result = try Command.run(["in", "-r", "-f", "yolo", "-o", "out"] + Command.quick, in: folder)
        #expect(result.status == 0, "\(result.error)")
        #expect(
            folder.files(in: "out") == [
                "a/x.png", "b/deep/er/y.png", "b/x.png", "bare.png", "labels/a/x.txt", "labels/b/deep/er/y.txt",
                "labels/b/x.txt", "labels/bare.txt", "labels/wrong.txt", "labels/x.png.txt", "labels/x.txt",
                "wrong.jpg.png", "x.jpg", "x.png",
            ])
        #expect(Pictures.isJPEG(try folder.bytes("out/x.jpg")))
        for name in ["x.png", "bare.png", "wrong.jpg.png"] { #expect(Pictures.isPNG(try folder.bytes("out/\(name)"))) }
    }

    @Test(
        arguments: [
            (["a/x.png", "b/x.png"], ["a/x.png", "b/x.png"]),
            (["a", "b"], ["a/x.png", "b/x.png"]),
            (["a/x.png"], ["x.png"]),
            (["../in/a/../b/x.png", "./a/x.png"], ["a/x.png", "b/x.png"]),
            (["a", "a/x.png"], ["x.png"]),
        ])
    func namesBeginAtTheCommonFolder(_ inputs: [String], _ outputs: [String]) throws {
        let folder = try TemporaryFolder()
        for name in ["a/x.png", "b/x.png"] { try folder.add(image, as: "in/\(name)") }
        let inside = ["--output", "\(folder.path)/out"] + Command.quick
        let words = (inputs + inside).map { "'\($0)'" }.joined(separator: " ")
        #expect(try Command.shell("cd in && DETECT \(words)", in: folder).status == 0)
        #expect(folder.files(in: "out") == outputs)
        let absolute = inputs.map { "\(folder.path)/in/\($0)" }
        try FileManager.default.removeItem(atPath: "\(folder.path)/out")
        #expect(try Command.run(absolute + inside, in: folder).status == 0)
        #expect(folder.files(in: "out") == outputs)
    }

    @Test(arguments: [".", "", "link", "../in", "linked-file"])
    func inputsAreNeverOverwritten(_ output: String) throws {
        let folder = try TemporaryFolder()
        try folder.add(image, as: "in/x.png")
        try folder.link("in/link", to: ".")
        try folder.makeFolder("in/linked-file")
        try folder.link("in/linked-file/x.png", to: "../x.png")
        let place = output.isEmpty ? "\(folder.path)/in" : output
        let words = (Command.quick + ["--output", place]).map { "'\($0)'" }.joined(separator: " ")
        let result = try Command.shell("cd in && DETECT x.png \(words)", in: folder)
        #expect(result.status == 64)
        #expect(result.error.contains("would overwrite a file that this run reads"))
        #expect(try folder.bytes("in/x.png") == image)
    }

    @Test func dumpAndConversionOverwriteNoInput() throws {
        let folder = try TemporaryFolder()
        try folder.add(image, as: "x.png")
        let weights = Array(try Data(contentsOf: URL(fileURLWithPath: Command.weights)))
        try folder.add(weights, as: "w.bin")
        for target in ["x.png", "w.bin"] {
            let result = try Command.run(
                ["x.png", "--weights", "w.bin", "--size", "64", "--dump", target], in: folder)
            #expect(result.status == 64)
        }
        #expect(try Command.run(["convert", "w.bin", "-o", "./w.bin"], in: folder).status == 64)
        // Read although nobody named it.
        try folder.add(Array("{}".utf8), as: "config.json")
        for arguments in [
            ["convert", "w.bin", "-o", "config.json"],
            ["x.png", "-w", "w.bin", "--size", "64", "--dump", "config.json"],
        ] {
            let result = try Command.run(arguments, in: folder)
            #expect(result.status == 64)
            #expect(result.error.contains("would overwrite a file that this run reads"))
        }
        #expect(try folder.text("config.json") == "{}")
        #expect(try folder.bytes("x.png") == image)
        #expect(try folder.bytes("w.bin") == weights)
    }

    @Test func withoutImages() throws {
        let folder = try TemporaryFolder()
        try folder.add(image, as: "x.png")
        #expect(try Command.run(["x.png", "--no-images"] + Command.quick, in: folder).status == 0)
        #expect(folder.files(in: ".") == ["x.png"])
    }

    /// Each option of the drawing changes the picture; with nothing found it is a plain copy.
    @Test func drawing() throws {
        let folder = try TemporaryFolder()
        let square = Array(try Data(contentsOf: URL(fileURLWithPath: Command.fixture("square.png"))))
        try folder.add(square, as: "x.png")
        let variants = [
            ["--threshold", "1"], [], ["--no-labels"], ["--no-scores"], ["--line-width", "9"],
        ]
        var pictures: Set<[UInt8]> = []
        for (index, options) in variants.enumerated() {
            let common = ["x.png", "--threshold", "0.05", "--output", "\(index)"]
            let result = try Command.run(common + options + Command.quick, in: folder)
            #expect(result.status == 0)
            pictures.insert(try folder.bytes("\(index)/x.png"))
        }
        #expect(pictures.count == variants.count)
    }

    @Test func cropsByClass() throws {
        let folder = try TemporaryFolder()
        try folder.add(try Pictures.jpeg(), as: "in/a/photo.jpg")
        try folder.add(image, as: "in/b.png")
        try folder.add(Array("[\"../up\", \"a/b\", \"\"]".utf8), as: "names")
        let result = try Command.run(
            ["in", "-r", "--no-images", "--save-crops", "--threshold", "0.05", "--names", "names"] + Command.quick,
            in: folder)
        #expect(result.status == 0)
        let files = folder.files(in: ".").filter { !$0.hasPrefix("in/") && $0 != "names" }
        #expect(!files.isEmpty)
        #expect(files.allSatisfy { $0.hasPrefix("detections/crops/") })
        for file in files {
            let label = file.split(separator: "/")[2]
            #expect([".._up", "a_b", "_", "2"].contains(label), "\(file)")
            let bytes = try folder.bytes(file)
            #expect(file.hasSuffix(".png") ? Pictures.isPNG(bytes) : Pictures.isJPEG(bytes))
        }
    }

    /// Inputs whose names differ in the extension alone, and one that lies where a crop of another would.
    @Test func cropsOfTwoInputsNeverMeet() throws {
        let folder = try TemporaryFolder()
        let photo = try Pictures.jpeg()
        try folder.add(Array("thing\nthing\nthing\n".utf8), as: "names")
        for name in ["x.jpg", "x.jpeg", "x.JPG", "crops/thing/x-1.jpg"] { try folder.add(photo, as: "in/\(name)") }
        let options = ["--threshold", "0.05", "--names", "names", "--save-crops"] + Command.quick
        let alone = try Command.run(["in/x.jpg", "--output", "alone", "--no-images"] + options, in: folder)
        #expect(alone.status == 0, "\(alone.error)")
        let count = folder.files(in: "alone").count
        try #require(count > 0)
        let result = try Command.run(["in", "-r"] + options, in: folder)
        #expect(result.status == 0, "\(result.error)")
        let files = folder.files(in: "detections")
        #expect(files.count == 4 + 4 * count, "\(files)")
        // The annotated copy, not a crop of x.jpg.
        #expect(try folder.bytes("detections/crops/thing/x-1.jpg") == folder.bytes("detections/x.jpg"))
    }

    @Test func outputThatIsNoFolder() throws {
        let folder = try TemporaryFolder()
        try folder.add(image, as: "x.png")
        try folder.add([1], as: "file")
        for place in ["file", "file/below"] {
            let result = try Command.run(["x.png", "--output", place] + Command.quick, in: folder)
            #expect(result.status == 2)
            #expect(result.error.contains("cannot make the folder: Not a directory"), "\(result.error)")
        }
    }

    @Test func dump() throws {
        let folder = try TemporaryFolder()
        try folder.add(image, as: "x.png")
        let result = try Command.run(["x.png", "--no-images", "--dump", "d.safetensors"] + Command.quick, in: folder)
        #expect(result.status == 0)
        let bytes = try folder.bytes("d.safetensors")
        let length = bytes.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
        let header = try JSONSerialization.jsonObject(with: Data(bytes[8..<(8 + length)])) as? [String: Any] ?? [:]
        for name in ["pixel_values", "feature.0", "memory", "hidden", "logits", "pred_boxes"] {
            let entry = try #require(header[name] as? [String: Any], "\(name)")
            #expect(entry["dtype"] as? String == "F32")
        }
    }
}
