// What counts as an input, in which order, and what becomes of those that are no images.

import Foundation
import TestSupport
import Testing

@Suite struct InputTests {
    private struct Record: Decodable {
        struct Problem: Decodable {
            let code: String
            let message: String
        }

        let path: String
        let status: String
        let error: Problem?
    }

    private func records(_ result: Command.Result) throws -> [Record] {
        try result.lines.map { try JSONDecoder().decode(Record.self, from: Data($0.utf8)) }
    }

    private let lines = Command.quick + ["--format", "jsonl", "--no-images"]

    /// Small images go through several networks at once; their results leave as the images came, whichever is done first.
    @Test func imagesSideBySideStayInOrder() throws {
        let folder = try TemporaryFolder()
        for index in 0..<60 {
            let name = "photos/\(String(1000 + index).dropFirst()).png"
            try folder.add(Pictures.png(width: 20 + index * 37 % 300, height: 16 + index % 5, seed: index), as: name)
        }
        try folder.add([], as: "photos/030-empty.jpg")
        func run(_ threads: String) throws -> [String] {
            let options = ["--size", "64", "--max-size", "96", "--format", "csv", "--threshold", "0", "--no-images"]
            let result = try Command.run(
                ["photos", "--weights", Command.weights, "--threads", threads] + options, in: folder)
            #expect(result.status == 1)
            return result.lines
        }
        let alone = try run("1")
        #expect(alone.count > 60)
        // Each network has one thread, as the one that is alone.
        for threads in ["2", "5"] { #expect(try run(threads) == alone) }
    }

    /// Among 137 entries lie seven that are no images; each is reported by itself and all others are done.
    @Test func brokenImagesAmongGoodOnes() throws {
        let folder = try TemporaryFolder()
        for index in 0..<129 {
            let name = "photos/\(String(1000 + index).dropFirst()).png"
            try folder.add(Pictures.png(width: 20 + index % 7, height: 16 + index % 5, seed: index), as: name)
        }
        try folder.add(try Pictures.jpeg(), as: "photos/200.jpg")
        try folder.add([], as: "photos/empty.jpg")
        try folder.add(Array("not an image\n".utf8), as: "photos/text.jpg")
        try folder.add(try Pictures.truncatedJPEG(), as: "photos/truncated.jpg")
        try folder.add(Pictures.bomb, as: "photos/bomb.png")
        try folder.makeFolder("photos/x.jpg")
        try folder.link("photos/dangling.jpg", to: "nowhere")
        try folder.add(Pictures.png(width: 20, height: 20), as: "photos/unreadable.png")
        try FileManager.default.setAttributes(
            [.posixPermissions: 0], ofItemAtPath: "\(folder.path)/photos/unreadable.png")
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(folder.path)/photos").count == 137)

        let result = try Command.run(["photos"] + lines, in: folder)
        let records = try records(result)
        #expect(result.status == 1)
        #expect(records.map(\.path) == records.map(\.path).sorted())
        var codes = [
            "photos/bomb.png": "too_many_pixels", "photos/dangling.jpg": "dangling_link",
            "photos/empty.jpg": "empty_file", "photos/text.jpg": "unknown_image_format",
            "photos/truncated.jpg": "truncated_image", "photos/unreadable.png": "permission_denied",
            "photos/x.jpg": "is_a_folder",
        ]
        // The superuser can read everything.
        if getuid() == 0 { codes["photos/unreadable.png"] = nil }
        let failed = records.filter { $0.status == "error" }
        #expect(Dictionary(failed.map { ($0.path, $0.error?.code ?? "") }) { $1 } == codes)
        #expect(records.filter { $0.status == "ok" }.count == 137 - codes.count)
        for path in codes.keys { #expect(result.error.contains("\(path): ")) }
        #expect(result.error.contains("137 images, \(codes.count) failed"))
    }

    @Test func truncatedImagesOnRequest() throws {
        let folder = try TemporaryFolder()
        try folder.add(try Pictures.truncatedJPEG(), as: "a.jpg")
        let refused = try Command.run(["a.jpg"] + lines, in: folder)
        #expect(refused.status == 2)
        #expect(refused.error.contains("(--allow-truncated)"))
        #expect(try Command.run(["a.jpg", "--allow-truncated"] + lines, in: folder).status == 0)
    }

    @Test func pixelLimit() throws {
        let folder = try TemporaryFolder()
        try folder.add(Pictures.png(width: 20, height: 20), as: "a.png")
        #expect(try Command.run(["a.png", "--max-pixels", "400"] + lines, in: folder).status == 0)
        let result = try Command.run(["a.png", "--max-pixels", "399"] + lines, in: folder)
        #expect(try records(result).first?.error?.code == "too_many_pixels")
    }

    /// By content and not by extension, hidden files left out, loops of links ended, deeper folders on request.
    @Test func foldersAreListed() throws {
        let folder = try TemporaryFolder()
        let image = Pictures.png(width: 20, height: 16)
        for name in ["b.dat", "a.png", "noextension", ".hidden.png", "sub/c.png", "sub/.d/e.png", "x.jpg/inner.png"] {
            try folder.add(image, as: "in/\(name)")
        }
        try folder.add(Array("notes".utf8), as: "in/notes.txt")
        try folder.add(Array("{}".utf8), as: "in/labels.json")
        try folder.add(Array("GIF89a          ".utf8), as: "in/moving.gif")
        try folder.link("in/sub/loop", to: "..")
        try folder.link("in/z.png", to: "a.png")

        let flat = try Command.run(["in"] + lines, in: folder)
        // A folder that is named like an image is reported.
        #expect(flat.status == 1)
        #expect(
            try records(flat).map(\.path) == ["in/a.png", "in/b.dat", "in/noextension", "in/x.jpg", "in/z.png"])
        #expect(try records(flat).filter { $0.status == "error" }.map { $0.error?.code } == ["is_a_folder"])
        #expect(flat.error.contains("skipped 1 GIF: only JPEG and PNG are read"))
        let deep = try Command.run(["in/", "--recursive", "--verbose"] + lines, in: folder)
        #expect(
            try records(deep).map(\.path) == [
                "in/a.png", "in/b.dat", "in/noextension", "in/sub/c.png", "in/x.jpg/inner.png", "in/z.png",
            ])
        #expect(deep.error.contains("skipped 2 files that are no images"))
    }

    @Test func outputFolderIsNotReadAgain() throws {
        let folder = try TemporaryFolder()
        try folder.add(Pictures.png(width: 20, height: 16), as: "a.png")
        for _ in 0..<2 {
            let result = try Command.run([".", "--recursive", "--format", "jsonl"] + Command.quick, in: folder)
            #expect(result.status == 0)
            #expect(try records(result).map(\.path) == ["./a.png"])
        }
        #expect(folder.files(in: "detections") == ["a.png"])
    }

    @Test func listOnStandardInput() throws {
        let folder = try TemporaryFolder()
        let names = ["b.png", "with space.png", "new\nline.png", "sub/é.png"]
        for name in names { try folder.add(Pictures.png(width: 20, height: 16), as: name) }
        let listed = try Command.run(
            ["-"] + lines, in: folder, input: Array("sub/é.png\n\nb.png\r\nwith space.png".utf8))
        #expect(try records(listed).map(\.path) == ["sub/é.png", "b.png", "with space.png"])
        #expect(listed.status == 0)
        let separated = try Command.run(
            ["-", "-0"] + lines, in: folder, input: Array((names.joined(separator: "\0") + "\0").utf8))
        #expect(try records(separated).map(\.path) == names)
        let mixed = try Command.run(["b.png", "-", "sub"] + lines, in: folder, input: Array("b.png\n".utf8))
        #expect(try records(mixed).map(\.path) == ["b.png", "b.png", "sub/é.png"])
        let wrong = try Command.run(["-"] + lines, in: folder, input: Array("a\0b\0".utf8))
        #expect(wrong.status == 64)
        #expect(wrong.error.contains("add -0"))
    }

    @Test func namesThatAreNoText() throws {
        let folder = try TemporaryFolder()
        try folder.add(Pictures.png(width: 20, height: 16), as: "a.png")
        let result = try Command.shell(
            """
            mkdir in; for n in "$(printf 'in/\\377.png')" "$(printf 'in/\\376.png')"; do cp a.png "$n"; done
            DETECT in QUICK --format jsonl; DETECT in/*.png QUICK --format jsonl --no-images
            """, in: folder)
        #expect(result.status == 0)
        #expect(try records(result).map(\.status) == ["ok", "ok", "ok", "ok"])
        #expect(folder.files(in: "detections").count == 2)
    }

    @Test func nothingUsable() throws {
        let folder = try TemporaryFolder()
        try folder.makeFolder("empty/sub")
        let missing = try Command.run(["wrong.jpg"] + lines, in: folder)
        #expect(missing.status == 2)
        #expect(try records(missing).first?.error?.code == "not_found")
        #expect(missing.error.contains("wrong.jpg: cannot open: No such file or directory"))
        let empty = try Command.run(["empty"] + lines, in: folder)
        #expect(empty.status == 2)
        #expect(empty.error.contains("empty: no JPEG or PNG images in this folder; it has folders inside"))
        let list = try Command.run(["-"] + lines, in: folder)
        #expect(list.status == 2)
        #expect(list.error.contains("the list on standard input is empty"))
        let address = try Command.run(["https://example.org/a.jpg"] + lines, in: folder)
        #expect(address.error.contains("download the image"))
        #expect(try Command.run(["/dev/null"] + lines, in: folder).error.contains("found a device"))
    }
}
