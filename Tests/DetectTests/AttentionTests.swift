// `--show-attention`: a picture for each detection of where the network looked for it.

import Foundation
import TestSupport
import Testing

@Suite struct AttentionTests {
    private func square() throws -> [UInt8] {
        Array(try Data(contentsOf: URL(fileURLWithPath: Command.fixture("square.png"))))
    }

    /// `detect` on a folder with a PNG and a JPEG; the lines of CSV are the detections.
    private func run(_ options: [String], in folder: TemporaryFolder) throws -> Command.Result {
        let result = try Command.run(
            ["in", "-r", "-f", "csv", "--threshold", "0.05", "--show-attention"] + options + Command.quick, in: folder)
        #expect(result.status == 0, "\(result.error)")
        return result
    }

    @Test func aPictureForEachDetection() throws {
        let folder = try TemporaryFolder()
        try folder.add(try square(), as: "in/a/x.png")
        try folder.add(try Pictures.jpeg(), as: "in/y.jpg")
        let lines = try run([], in: folder).lines.dropFirst()
        let (first, second) = (lines.count { $0.contains("x.png") }, lines.count { $0.contains("y.jpg") })
        try #require(first > 1 && second > 1)
        let pictures = (1...first).map { "a/x-\($0).png" } + (1...second).map { "y-\($0).jpg" }
        #expect(folder.files(in: "detections") == (["a/x.png", "y.jpg"] + pictures.map { "attention/\($0)" }).sorted())
        for name in pictures {
            let bytes = try folder.bytes("detections/attention/\(name)")
            #expect(name.hasSuffix(".png") ? Pictures.isPNG(bytes) : Pictures.isJPEG(bytes))
        }
        // Different detections, different points.
        let contents = try pictures.map { try folder.bytes("detections/attention/\($0)") }
        #expect(Set(contents).count == contents.count)
        #expect(contents.allSatisfy { $0.count > 1000 })
    }

    /// Detections, annotated copies and crops are those of a run without it.
    @Test func theRestStaysAsItIs() throws {
        let folder = try TemporaryFolder()
        try folder.add(try square(), as: "in/x.png")
        let shown = try run(["--save-crops", "-o", "shown"], in: folder)
        let plain = try Command.run(
            ["in", "-r", "-f", "csv", "--threshold", "0.05", "--save-crops", "-o", "plain"] + Command.quick, in: folder)
        #expect(shown.output == plain.output)
        let files = folder.files(in: "plain")
        #expect(folder.files(in: "shown").filter { !$0.hasPrefix("attention/") } == files)
        for name in files { #expect(try folder.bytes("shown/\(name)") == folder.bytes("plain/\(name)")) }
    }

    @Test func withoutImagesItIsAllThatIsDrawn() throws {
        let folder = try TemporaryFolder()
        try folder.add(try square(), as: "in/x.png")
        let count = try run(["--no-images"], in: folder).lines.count - 1
        #expect(folder.files(in: "detections") == (1...count).map { "attention/x-\($0).png" }.sorted())
    }

    /// Names and pictures count the chosen detections only.
    @Test func classesAndTopK() throws {
        let folder = try TemporaryFolder()
        try folder.add(try square(), as: "in/x.png")
        let all = try run(["--no-images", "-o", "all"], in: folder).lines.dropFirst()
        let last = try #require(all.last?.split(separator: ",").first { ["card", "label", "coaster"].contains($0) })
        let chosen = try run(["--no-images", "--classes", String(last), "--top-k", "1", "-o", "one"], in: folder)
        #expect(chosen.lines.count == 2)
        #expect(folder.files(in: "one") == ["attention/x-1.png"])
        let place = try #require(all.firstIndex { $0 == chosen.lines[1] })
        #expect(try folder.bytes("one/attention/x-1.png") == folder.bytes("all/attention/x-\(place).png"))
    }

    @Test func nothingFoundNothingDrawn() throws {
        let folder = try TemporaryFolder()
        try folder.add(try square(), as: "in/x.png")
        _ = try run(["--threshold", "1"], in: folder)
        #expect(folder.files(in: "detections") == ["x.png"])
    }

    /// Inputs whose names differ in the extension alone, and one that lies where a picture of another would.
    @Test func picturesOfTwoInputsNeverMeet() throws {
        let folder = try TemporaryFolder()
        let photo = try Pictures.jpeg()
        try folder.add(photo, as: "in/x.jpg")
        let count = try run(["--no-images"], in: folder).lines.count - 1
        for name in ["x.jpeg", "x.JPG", "attention/x-1.jpg"] { try folder.add(photo, as: "in/\(name)") }
        _ = try run(["-o", "all"], in: folder)
        let files = folder.files(in: "all")
        #expect(files.count == 4 + 4 * count, "\(files)")
        // The annotated copy, not a picture of x.jpg's attention.
        #expect(try folder.bytes("all/attention/x-1.jpg") == folder.bytes("all/x.jpg"))
    }

    @Test func anInputIsNeverOverwritten() throws {
        let folder = try TemporaryFolder()
        let image = try square()
        try folder.add(image, as: "x.png")
        try folder.makeFolder("detections/attention")
        try folder.link("detections/attention/x-1.png", to: "../../x.png")
        let result = try Command.run(
            ["x.png", "--no-images", "--threshold", "0.05", "--show-attention"] + Command.quick, in: folder)
        #expect(result.status == 2)
        #expect(result.error.contains("would overwrite a file that this run reads"), "\(result.error)")
        #expect(try folder.bytes("x.png") == image)
    }
}
