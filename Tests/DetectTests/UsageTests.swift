// Wrong calls and missing files: what is said, and with which exit status. Nothing is written in any of these.

import TestSupport
import Testing

@Suite struct UsageTests {
    private func folder() throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        try folder.add(Pictures.png(width: 40, height: 30), as: "a.png")
        try folder.add(Pictures.png(width: 40, height: 30), as: "b.png")
        return folder
    }

    @Test(
        arguments: [
            (["--threshold", "1.5"], "--threshold: expected a number from 0 to 1, found 1.5"),
            (["--threshold", "nan"], "--threshold: expected a number from 0 to 1"),
            (["--threshold", "high"], "'high' is invalid"),
            (["--top-k", "0"], "--top-k: expected 1 to"),
            (["--size", "16"], "--size: expected 32 to 4096, found 16"),
            (["--size", "99999999999999999999"], "is invalid"),
            (["--size", "1600", "--max-size", "1333"], "--size 1600 is above --max-size 1333"),
            (["--threads", "0"], "--threads: expected 1 to 1024, found 0"),
            (["--precision", "int8"], "has no calibration; detect convert"),
            (["--precision", "f16"], "'f16' is invalid"),
            (["--line-width", "0"], "--line-width: expected 1 to 1000"),
            (["--max-pixels", "0"], "--max-pixels: expected 1 to"),
            (["--format", "xml"], "'xml' is invalid"),
            (["--exif", "rotate"], "'rotate' is invalid"),
            (["--color", "red"], "'red' is invalid"),
            (["--classes", ", ,"], "--classes: expected names or ids, found none"),
            (["--quiet", "--verbose"], "exclude each other"),
            (["-0"], "-0 is for a list on standard input"),
            (["-", "-"], "expected standard input once"),
            ([""], "expected a path, found an empty argument"),
            (["--dump", "d.safetensors", "b.png"], "--dump: expected exactly one image, found 2"),
            (["--unknown"], "Unknown option '--unknown'"),
        ] as [([String], String)])
    func wrongCalls(_ options: [String], _ message: String) throws {
        let folder = try folder()
        let result = try Command.run(["a.png"] + Command.quick + options, in: folder)
        #expect(result.status == 64)
        #expect(result.error.contains(message), "\(result.error)")
        #expect(result.output.isEmpty)
        #expect(folder.files(in: ".") == ["a.png", "b.png"])
    }

    @Test func noArgumentsShowHelp() throws {
        let result = try Command.run([], in: folder())
        #expect(result.status == 64)
        #expect(result.error.contains("USAGE: detect <input> ... --weights <file>"))
    }

    @Test(arguments: [["--help"], ["-h"], ["help"], ["predict", "--help"], ["help", "predict"]])
    func helpShowsTheDefaultCommandsOptions(_ arguments: [String]) throws {
        let result = try Command.run(arguments, in: folder())
        #expect(result.status == 0)
        for word in ["EXAMPLES", "--threshold", "(default: 0.5)", "EXIT STATUS", "detect convert | inspect | bench"] {
            #expect(result.output.contains(word), "\(word)")
        }
        #expect(result.lines.allSatisfy { $0.count <= 80 })
    }

    @Test func version() throws {
        let result = try Command.run(["--version"], in: folder())
        #expect(result.status == 0)
        #expect(result.output.split(separator: ".").count == 3)
    }

    @Test func missingWeights() throws {
        let folder = try folder()
        let result = try Command.run(["a.png", "--weights", "w.bin"], in: folder)
        #expect(result.status == 2)
        #expect(result.error.contains("w.bin: cannot open: No such file or directory"))
        #expect(folder.files(in: ".") == ["a.png", "b.png"])
    }

    @Test func unknownClassNamesTheClosest() throws {
        let folder = try folder()
        try folder.add(Array("person\ndog\ndonut\n".utf8), as: "names.txt")
        let result = try Command.run(
            ["a.png"] + Command.quick + ["--names", "names.txt", "--classes", "dogs"], in: folder)
        #expect(result.status == 64)
        #expect(result.error.contains("no class is named 'dogs'"))
        #expect(result.error.contains("'dog'"))
    }

    @Test(
        arguments: [
            ("", "no names"), ("{\"a\": \"b\"}", "class ids below"), ("[1]", "an array of names"),
            ("{\"99999999\": \"x\"}", "class ids below"), ("[\"a\"", "expected"), ("a\0b", "other bytes"),
        ])
    func wrongNames(_ text: String, _ message: String) throws {
        let folder = try folder()
        try folder.add(Array(text.utf8), as: "names")
        let result = try Command.run(["a.png"] + Command.quick + ["--names", "names"], in: folder)
        #expect(result.status == 2)
        #expect(result.error.contains(message), "\(result.error)")
    }
}
