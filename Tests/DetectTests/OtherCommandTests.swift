// `detect convert`, `detect inspect` and `detect bench`.

import Foundation
import TestSupport
import Testing

@Suite struct OtherCommandTests {
    @Test func convertedWeightsDetectTheSame() throws {
        let folder = try TemporaryFolder()
        try folder.add(try Pictures.jpeg(), as: "a.jpg")
        let conversion = try Command.run(["convert", Command.weights, "--output", "w.bin"], in: folder)
        #expect(conversion.status == 0, "\(conversion.error)")
        #expect(conversion.output.isEmpty)
        let outputs = try [Command.weights, "w.bin"].map { weights in
            try Command.run(
                ["a.jpg", "-w", weights, "--size", "64", "--no-images", "-f", "csv", "--threshold", "0.05"], in: folder
            ).output
        }
        #expect(outputs[0] == outputs[1])
        #expect(outputs[0].contains("a.jpg,480,640"))
    }

    @Test func convertWithNames() throws {
        let folder = try TemporaryFolder()
        try folder.add(Array("{\"id2label\": {\"1\": \"middle\"}}".utf8), as: "names.json")
        let arguments = ["convert", Command.weights, "-o", "w.bin", "--names"]
        #expect(try Command.run(arguments + ["names.json"], in: folder).status == 0)
        #expect(try Command.run(["inspect", "w.bin"], in: folder).output.contains("1 middle"))
        try folder.add(Array(String(repeating: "x\n", count: 500).utf8), as: "many.txt")
        let many = try Command.run(arguments + ["many.txt"], in: folder)
        #expect(many.status == 2)
        #expect(many.error.contains("found 500"))
    }

    /// Suppression that a file states holds wherever it is used, and can be overruled.
    @Test func convertWithSuppression() throws {
        let folder = try TemporaryFolder()
        try folder.add(try Pictures.jpeg(), as: "a.jpg")
        let arguments = ["convert", Command.weights, "-o", "w.bin", "--nms"]
        #expect(try Command.run(arguments + ["0.25"], in: folder).status == 0)
        let inspected = try Command.run(["inspect", "w.bin"], in: folder)
        #expect(inspected.output.contains("suppression     of boxes of a class with an IoU above 0.25"))
        func detect(_ weights: String, _ more: String...) throws -> String {
            let common = ["a.jpg", "--size", "64", "--no-images", "-f", "csv", "--threshold", "0.01", "--weights"]
            return try Command.run(common + [weights] + more, in: folder).output
        }
        let (stated, whole) = (try detect("w.bin"), try detect(Command.weights))
        #expect(stated.count < whole.count)
        #expect(try detect(Command.weights, "--nms", "0.25") == stated)
        #expect(try detect("w.bin", "--nms", "1") == whole)

        #expect(try Command.run(["convert", "w.bin", "-o", "v.bin"], in: folder).status == 0)
        #expect(try detect("v.bin") == stated)
        let wrong = try Command.run(arguments + ["1.5"], in: folder)
        #expect(wrong.status == 64 && wrong.error.contains("--nms: expected a number from 0 to 1, found 1.5"))
    }

    @Test func statedSuppressionThatIsNone() throws {
        let folder = try TemporaryFolder()
        #expect(try Command.run(["convert", Command.weights, "-o", "w.bin", "--nms", "0.75"], in: folder).status == 0)
        var weights = try Data(contentsOf: URL(fileURLWithPath: folder.path + "/w.bin"))
        weights.replaceSubrange(try #require(weights.range(of: Data("\"0.75\"".utf8))), with: Data("\"-nan\"".utf8))
        try folder.add(Array(weights), as: "w.bin")
        let result = try Command.run(["inspect", "w.bin"], in: folder)
        #expect(result.status == 2 && result.error.contains("metadata 'nms'"), "\(result.error)")
    }

    /// A file of a third of the size, which knows how large activations become.
    @Test func convertToInt8() throws {
        let folder = try TemporaryFolder()
        try folder.add(try Pictures.jpeg(), as: "photos/a.jpg")
        try folder.add(Array("no photo".utf8), as: "photos/note.txt")
        try folder.add([0xff, 0xd8, 0xff, 0], as: "photos/broken.jpg")
        let conversion = try Command.run(
            ["convert", Command.weights, "-o", "w8.bin", "--dtype", "int8", "--calibrate", "photos"], in: folder)
        #expect(conversion.status == 0, "\(conversion.error)")
        #expect(conversion.error.contains("calibrated on 1 photo"))
        #expect(conversion.error.contains("warning: photos/broken.jpg"), "\(conversion.error)")
        func contents(_ name: String) throws -> Data {
            try Data(contentsOf: URL(fileURLWithPath: "\(folder.path)/\(name)"))
        }
        let size = try Data(contentsOf: URL(fileURLWithPath: Command.weights)).count
        #expect(try contents("w8.bin").count < size / 2)
        let inspected = try Command.run(["inspect", "w8.bin"], in: folder).output
        #expect(inspected.contains("I8") && inspected.contains("precision       int8"))

        func scores(_ weights: String, _ more: String...) throws -> [Double] {
            let common = ["photos/a.jpg", "--size", "64", "--no-images", "-f", "csv", "--threshold", "0", "--weights"]
            let result = try Command.run(common + [weights] + more, in: folder)
            #expect(result.status == 0, "\(result.error)")
            return result.output.split(separator: "\n").dropFirst()
                .compactMap { Double($0.split(separator: ",")[5]) }
        }
        let (exact, whole) = (try scores(Command.weights), try scores("w8.bin"))
        #expect(whole.count == exact.count && whole != exact)
        for (actual, expected) in zip(whole, exact) { #expect(abs(actual - expected) < 0.1) }
        #expect(try scores("w8.bin") == whole)
        let widened = try scores("w8.bin", "--precision", "f32")
        for (actual, expected) in zip(widened, exact) { #expect(abs(actual - expected) < 0.1) }
        #expect(try scores("w8.bin", "--precision", "bf16").count == exact.count)

        // Rounded once, weights stay as they are.
        #expect(try Command.run(["convert", "w8.bin", "-o", "again.bin"], in: folder).status == 0)
        #expect(try scores("again.bin") == whole)
        #expect(try Command.run(["convert", "w8.bin", "-o", "f.bin", "--dtype", "f32"], in: folder).status == 0)
        #expect(try scores("f.bin") == widened)

        // A training takes their values, not the whole numbers.
        for option in ["--weights", "--backbone"] {
            let losses = try ["w8.bin", "f.bin"].map { weights in
                let run = try Command.run(
                    [
                        "train", option, weights, "--output", "run\(option)\(weights)", "--codes", "2", "--codes-size",
                        "64-80", "--size", "64", "--augment", "none", "--epochs", "1", "--threads", "1", "--batch-size",
                        "2", "--queries", "5", "--seed", "1",
                    ], in: folder)
                #expect(run.status == 0, "\(run.error)")
                return run.error.split(separator: "\n").first { $0.contains("epoch 1/1") }?
                    .split(separator: ",").first
            }
            #expect(losses[0] != nil && losses[0] == losses[1])
        }
    }

    @Test(
        arguments: [
            (["--dtype", "int8"], 64, "--dtype int8 needs --calibrate"),
            (["--calibrate", "photos"], 64, "--calibrate is for --dtype int8"),
            (["--dtype", "bf16", "--calibrate", "photos"], 64, "--calibrate is for --dtype int8"),
            (["--dtype", "int8", "--calibrate", "none"], 2, "none"),
            (["--dtype", "int8", "--calibrate", "photos"], 2, "--calibrate: photos: expected a folder with photos"),
            (["--dtype", "int8", "--calibrate", "bad"], 2, "--calibrate: bad: none of its photos can be used"),
        ] as [([String], Int32, String)])
    func badCalibrations(_ arguments: [String], _ status: Int32, _ message: String) throws {
        let folder = try TemporaryFolder()
        try folder.add(Array("no photo".utf8), as: "photos/note.txt")
        try folder.add([0xff, 0xd8, 0xff, 0], as: "bad/broken.jpg")
        let result = try Command.run(["convert", Command.weights, "-o", "w.bin"] + arguments, in: folder)
        #expect(result.status == status)
        #expect(result.error.contains(message), "\(result.error)")
        #expect(!folder.files(in: ".").contains("w.bin"))
    }

    /// A file of half the size that computes in bfloat16 wherever it is used, unless told otherwise.
    @Test func convertToBFloat16() throws {
        let folder = try TemporaryFolder()
        try folder.add(try Pictures.jpeg(), as: "a.jpg")
        for (type, name) in [("f32", "w.bin"), ("bf16", "half.bin")] {
            let result = try Command.run(["convert", Command.weights, "-o", name, "--dtype", type], in: folder)
            #expect(result.status == 0, "\(result.error)")
        }
        func contents(_ name: String) throws -> Data {
            try Data(contentsOf: URL(fileURLWithPath: "\(folder.path)/\(name)"))
        }
        #expect(try Double(contents("half.bin").count) < 0.65 * Double(contents("w.bin").count))
        let inspected = try Command.run(["inspect", "half.bin"], in: folder).output
        #expect(inspected.contains("BF16") && inspected.contains("F32"))
        #expect(inspected.contains("precision       bf16"))

        func scores(_ weights: String, _ more: String...) throws -> [Double] {
            let common = ["a.jpg", "--size", "64", "--no-images", "-f", "csv", "--threshold", "0", "--weights"]
            return try Command.run(common + [weights] + more, in: folder).output.split(separator: "\n").dropFirst()
                .compactMap { Double($0.split(separator: ",")[5]) }
        }
        let (exact, half) = (try scores("w.bin"), try scores("half.bin"))
        #expect(half.count == exact.count && half != exact)
        for (actual, expected) in zip(half, exact) { #expect(abs(actual - expected) < 0.05) }
        #expect(try scores("half.bin", "--precision", "bf16") == half)
        let widened = try scores("half.bin", "--precision", "f32")
        #expect(widened != half && widened != exact)

        // Back again: the weights stay rounded.
        let back = try Command.run(["convert", "half.bin", "-o", "back.bin", "--dtype", "f32"], in: folder)
        #expect(back.status == 0, "\(back.error)")
        #expect(try scores("back.bin") == widened)
        let again = try Command.run(["convert", "half.bin", "-o", "again.bin"], in: folder)
        #expect(again.status == 0, "\(again.error)")
        #expect(try contents("again.bin") == contents("half.bin"))
    }

    @Test func convertIntoAMissingFolder() throws {
        let folder = try TemporaryFolder()
        let result = try Command.run(["convert", Command.weights, "-o", "no/w.bin"], in: folder)
        #expect(result.status == 2)
        #expect(result.error.contains("no/w.bin: cannot create: No such file or directory"))
    }

    @Test func inspect() throws {
        let result = try Command.run(["inspect", Command.weights], in: TemporaryFolder())
        #expect(result.status == 0)
        for word in ["variant", "configuration", "parameters", "0 card, 1 label, 2 coaster", "dtypes", "F32"] {
            #expect(result.output.contains(word), "\(word)")
        }
    }

    @Test(
        arguments: [
            ("", "an empty file"), ("<html>", "a web page"), ("hello", "not a known weights format"),
        ])
    func wrongWeights(_ content: String, _ message: String) throws {
        let folder = try TemporaryFolder()
        try folder.add(Array(content.utf8), as: "w")
        try folder.add(Pictures.png(width: 20, height: 20), as: "a.png")
        for arguments in [
            ["inspect", "w"], ["convert", "w", "-o", "out"], ["a.png", "-w", "w"], ["bench", "-w", "w"],
        ] {
            let result = try Command.run(arguments, in: folder)
            #expect(result.status == 2)
            #expect(result.error.contains(message), "\(result.error)")
            #expect(result.output.isEmpty)
        }
    }

    @Test func bench() throws {
        struct Report: Decodable {
            let model: String
            let size: [Int]
            let precision: String
            let threads: Int
            let runs: Int
            let median_ms: [String: Double]
            let peak_memory_bytes: Int
            let processor: String
            let versions: [String: String]
        }
        let folder = try TemporaryFolder()
        let arguments = ["bench", "--weights", Command.weights, "--size", "64x96", "--runs", "2", "--threads", "1"]
        let result = try Command.run(arguments + ["--json"], in: folder)
        let report = try JSONDecoder().decode(Report.self, from: Data(result.output.utf8))
        #expect(report.size == [64, 96])
        #expect(report.precision == "f32")
        #expect(report.threads == 1)
        #expect(report.runs == 2)
        #expect(
            report.median_ms.keys.sorted() == ["backbone", "decoder", "encoder", "network", "preprocess", "total"])
        #expect(report.peak_memory_bytes > 1 << 20)
        #expect(report.versions.keys.sorted() == ["detect", "onednn"])
        #expect(try Command.run(arguments, in: folder).output.contains("peak memory"))
    }

    /// Weights that do not carry their configuration, beside the config.json of another kind of model.
    @Test(arguments: [["bench", "--size", "64x64", "--runs", "1", "--weights"], ["inspect"]])
    func checkpointWarnings(_ arguments: [String]) throws {
        let folder = try TemporaryFolder()
        var weights = try Data(contentsOf: URL(fileURLWithPath: Command.weights))
        let key = try #require(weights.range(of: Data("detect_format_version".utf8)))
        weights.replaceSubrange(key, with: Data("what_the_file_is_made".utf8))
        try folder.add(Array(weights), as: "w.safetensors")
        try folder.add(Array("{\"model_type\": \"bert\"}".utf8), as: "config.json")
        let result = try Command.run(arguments + ["w.safetensors"], in: folder)
        #expect(result.status == 0)
        #expect(result.error.contains("detect: warning: config.json is about another kind of model"), "\(result.error)")
    }

    @Test func benchTakesAConfiguration() throws {
        let folder = try TemporaryFolder()
        try folder.add(Array("{".utf8), as: "c.json")
        let result = try Command.run(
            ["bench", "-w", Command.weights, "--size", "64x64", "--runs", "1", "--config", "c.json"], in: folder)
        #expect(result.status == 2)
        #expect(result.error.contains("c.json"))
    }

    @Test(arguments: ["convert", "inspect", "bench", "eval"])
    func help(_ command: String) throws {
        for arguments in [[command, "--help"], ["help", command]] {
            let result = try Command.run(arguments, in: TemporaryFolder())
            #expect(result.status == 0)
            #expect(result.output.contains("USAGE: detect \(command)"))
            #expect(result.lines.allSatisfy { $0.count <= 80 })
        }
    }

    @Test(arguments: ["800", "800x", "x", "800x1333x3", "8x800", "800x9999", "-5x64"])
    func benchSizes(_ size: String) throws {
        let result = try Command.run(["bench", "-w", Command.weights, "--size=\(size)"], in: TemporaryFolder())
        #expect(result.status == 64)
        #expect(result.error.contains("--size: expected"))
    }
}
