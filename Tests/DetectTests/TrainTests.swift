// `detect train`: from a folder of labelled images to weights that detect; interrupted, killed, and gone on with.

import Checkpoint
import Foundation
import TestSupport
import Tensors
import Testing

@Suite struct TrainTests {
    /// A model that learns nothing, but at once. One thread, as tests run side by side.
    private static let quick = [
        "--width", "32", "--levels", "2", "--encoder-layers", "1", "--decoder-layers", "1", "--queries", "10", "--size",
        "48",
        "--max-size", "64", "--threads", "1", "--batch-size", "2", "--batch-norm", "frozen", "--freeze", "all",
        "--backbone", "backbone.safetensors",
    ]
    private static let dataset = ["--images", "codes/images", "--annotations", "codes/annotations.json"]
    private static let judged = ["--val-annotations", "codes/annotations.json"]

    /// A folder with six labelled images and a backbone.
    private static func folder() throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        let made = try Command.run(
            ["synthesize", "--output", "codes", "--images", "6", "--size", "64-96", "-q"], in: folder)
        #expect(made.status == 0, "\(made.error)")
        var tensors = TensorDictionary()
        func add(_ name: String, _ dimensions: [Int]) {
            let shape = Shape(dimensions)
            tensors[name] = Tensor(shape, repeating: name.hasSuffix("var") || shape.rank == 1 ? 1 : 0.02)
        }
        func addNorm(_ name: String, _ width: Int) {
            for part in ["weight", "bias", "running_mean", "running_var"] { add("\(name).\(part)", [width]) }
        }
        add("conv1.weight", [8, 3, 7, 7])
        addNorm("bn1", 8)
        for (layer, widths) in [(1, (8, 8)), (2, (8, 16))] {
            add("layer\(layer).0.conv1.weight", [widths.1, widths.0, 3, 3])
            addNorm("layer\(layer).0.bn1", widths.1)
            add("layer\(layer).0.conv2.weight", [widths.1, widths.1, 3, 3])
            addNorm("layer\(layer).0.bn2", widths.1)
        }
        add("layer2.0.downsample.0.weight", [16, 8, 1, 1])
        addNorm("layer2.0.downsample.1", 16)
        add("fc.weight", [10, 16])
        try SafetensorsWriter.write(tensors, to: "\(folder.path)/backbone.safetensors")
        return folder
    }

    @Test func fromAFolderToADetector() throws {
        let folder = try Self.folder()
        let result = try Command.run(
            ["train", "--output", "run", "--epochs", "2"] + Self.dataset + Self.judged + Self.quick, in: folder)
        #expect(result.status == 0, "\(result.error)")
        #expect(result.output.isEmpty)
        for text in [
            "taken from the file: backbone", "initialised: ", "not used: backbone.0.body.fc.weight [10, 16]",
            "epoch 2/2: loss ", "AP50",
            "run/best.bin",
        ] {
            #expect(result.error.contains(text), "\(text): \(result.error)")
        }
        #expect(
            folder.files(in: "run") == [
                "best.bin", "checkpoint.safetensors", "curves.png", "last.bin", "metrics.jsonl", "validation.jpg",
            ])
        // Three steps an epoch: a line at each epoch's end, and a validation each.
        #expect(try folder.text("run/metrics.jsonl").split(separator: "\n").count == 4)

        let found = try Command.run(
            ["codes/images/000001.jpg", "-w", "run/best.bin", "--threshold", "0", "--no-images", "-f", "json"],
            in: folder)
        #expect(found.status == 0 && found.output.contains("qr_code"), "\(found.error)")
        let judged = try Command.run(
            [
                "eval", "-w", "run/last.bin", "--images", "codes/images", "--annotations", "codes/annotations.json",
                "--json",
            ],
            in: folder)
        #expect(judged.status == 0, "\(judged.error)")
        let inspected = try Command.run(["inspect", "run/last.bin"], in: folder)
        #expect(inspected.output.contains("4 linear"))
    }

    @Test func otherClassesFromOtherWeights() throws {
        let folder = try Self.folder()
        let result = try Command.run(
            [
                "train", "--output", "run", "--epochs", "1", "--weights", Command.weights, "--size", "48", "--max-size",
                "64",
                "--threads", "1", "--freeze", "all",
            ] + Self.dataset, in: folder)
        #expect(result.status == 0, "\(result.error)")
        #expect(result.error.contains("initialised: class_embed (2)"), "\(result.error)")
        #expect(folder.files(in: "run").contains("best.bin"))
    }

    /// The weights after an interruption and a resumption are those of a training that nobody interrupted.
    @Test func interruptedAndGoneOnWith() throws {
        let folder = try Self.folder()
        let arguments =
            ["train", "--codes", "600", "--codes-use", "30", "--codes-size", "64-80", "--epochs", "1"] + Self.quick
        let whole = try Command.run(arguments + ["--output", "whole"], in: folder)
        #expect(whole.status == 0, "\(whole.error)")

        signal(SIGINT, SIG_DFL)
        let started = try Command.start(arguments + ["--output", "part", "--save-every", "0"], in: folder)
        Self.waitForFile("\(folder.path)/part/checkpoint.safetensors")
        kill(started.process.processIdentifier, SIGINT)
        let interrupted = try started.wait()
        #expect(interrupted.status == 130, "\(interrupted.error)")
        #expect(interrupted.error.contains("detect train --resume part goes on"))

        let resumed = try Command.run(["train", "--resume", "part"], in: folder)
        #expect(resumed.status == 0, "\(resumed.error)")
        #expect(try folder.bytes("whole/last.bin") == folder.bytes("part/last.bin"))
        #expect(
            try folder.text("part/metrics.jsonl").split(separator: "\n").count
                >= folder.text("whole/metrics.jsonl").split(separator: "\n").count)

        let nothing = try Command.run(["train", "--resume", "part"], in: folder)
        #expect(nothing.status == 0 && nothing.error.contains("nothing is left to do"))
        let more = try Command.run(["train", "--resume", "part", "--epochs", "2", "--codes", "600"], in: folder)
        #expect(more.status == 0 && more.error.contains("epoch 2/2"), "\(more.error)")
    }

    /// Killed in the middle of its saves: whatever there is, is whole.
    @Test func killedWhileItSaves() throws {
        let folder = try Self.folder()
        let arguments =
            [
                "train", "--codes", "400", "--codes-use", "20", "--codes-size", "64-80", "--epochs", "9",
                "--save-every", "0",
            ]
            + Self.quick
        func step() throws -> Int {
            Int(try WeightFile.open("\(folder.path)/run/checkpoint.safetensors").tensor("optimizer.step").elements[0])
        }
        func isSaving() -> Bool { folder.files(in: "run").contains { $0.hasPrefix(".unfinished-") } }
        var (before, killedSaves, round) = (0, 0, 0)
        while round < 4 || (killedSaves == 0 && round < 30) {
            let started = try Command.start(
                round == 0 ? arguments + ["--output", "run"] : ["train", "--resume", "run"], in: folder)
            if round == 0 { Self.waitForFile("\(folder.path)/run/checkpoint.safetensors") }
            let deadline = Date(timeIntervalSinceNow: 120)
            while try step() <= before, Date() < deadline { usleep(500) }
            // It saves after every step: wait until it is seen to write, for a while.
            let patience = Date(timeIntervalSinceNow: 1)
            while !isSaving(), Date() < patience {}
            kill(started.process.processIdentifier, SIGKILL)
            _ = try started.wait()
            if isSaving() { killedSaves += 1 }
            let file = try WeightFile.open("\(folder.path)/run/checkpoint.safetensors")
            for name in file.names { #expect(try file.tensor(name).elements.allSatisfy { $0.isFinite }, "\(name)") }
            let after = try step()
            #expect(after > before, "round \(round)")
            (before, round) = (after, round + 1)
        }
        #expect(killedSaves > 0)
        // What they left is cleared away by the next run.
        signal(SIGINT, SIG_DFL)
        let last = try Command.start(["train", "--resume", "run"], in: folder)
        let deadline = Date(timeIntervalSinceNow: 120)
        while try step() <= before, Date() < deadline { usleep(500) }
        kill(last.process.processIdentifier, SIGINT)
        #expect(try last.wait().status == 130)
        #expect(!isSaving())
    }

    /// As after Ctrl-C in a validation, or a power cut.
    @Test func aMissingValidationIsMadeUpFor() throws {
        let folder = try Self.folder()
        let arguments = ["train", "--output", "run", "--epochs", "1"] + Self.dataset + Self.judged + Self.quick
        #expect(try Command.run(arguments, in: folder).status == 0)
        let lines = try folder.text("run/metrics.jsonl").split(separator: "\n").map { $0 + "\n" }
        #expect(lines.last?.contains("validation") == true)
        try folder.add(Array(lines.dropLast().joined().utf8), as: "run/metrics.jsonl")
        let again = try Command.run(arguments, in: folder)
        #expect(again.status == 64 && again.error.contains("holds a training already"))
        let resumed = try Command.run(["train", "--resume", "run"], in: folder)
        #expect(resumed.status == 0 && resumed.error.contains("AP50"), "\(resumed.error)")
        #expect(try folder.text("run/metrics.jsonl").split(separator: "\n").count == lines.count)
    }

    /// Killed when best.bin was written, but not yet the line that says so: the validation is made again, and a worse one later
    /// does not take its place.
    @Test func whatWasBestIsNotForgotten() throws {
        let folder = try Self.folder()
        let arguments = ["train", "--output", "run", "--epochs", "1"] + Self.dataset + Self.judged + Self.quick
        #expect(try Command.run(arguments, in: folder).status == 0)
        // A metrics file that knows of a better validation than the checkpoint, which is saved before it.
        let better = try folder.text("run/metrics.jsonl").replacingOccurrences(
            of: "\"stats\":\\[[^,]*", with: "\"stats\":[0.99", options: .regularExpression)
        try folder.add(Array(better.utf8), as: "run/metrics.jsonl")
        let best = try folder.bytes("run/best.bin")
        let more = try Command.run(["train", "--resume", "run", "--epochs", "2"], in: folder)
        #expect(more.status == 0, "\(more.error)")
        #expect(try folder.bytes("run/best.bin") == best)
        #expect(try folder.bytes("run/last.bin") != best)
    }

    @Test func whatARunLeftOutIsMadeByTheNext() throws {
        let folder = try Self.folder()
        let arguments = ["train", "--output", "run", "--epochs", "1"] + Self.dataset + Self.quick
        #expect(try Command.run(arguments, in: folder).status == 0)
        let last = try folder.bytes("run/last.bin")
        for name in ["best.bin", "last.bin", "metrics.jsonl"] {
            try FileManager.default.removeItem(atPath: "\(folder.path)/run/\(name)")
        }
        let resumed = try Command.run(["train", "--resume", "run"], in: folder)
        #expect(resumed.status == 0 && resumed.error.contains("metrics.jsonl is empty or gone"), "\(resumed.error)")
        #expect(try folder.bytes("run/last.bin") == last && folder.bytes("run/best.bin") == last)
    }

    @Test func resumptionsKeepTheModelAndSayWhatChanged() throws {
        let folder = try Self.folder()
        let arguments = ["train", "-q", "--output", "run", "--epochs", "1"] + Self.dataset + Self.quick
        let first = try Command.run(arguments, in: folder)
        #expect(first.status == 0 && first.error.isEmpty, "\(first.error)")
        let other = try Command.run(["train", "--resume", "run", "--width", "64"], in: folder)
        #expect(other.status == 64 && other.error.contains("leave --width out"), "\(other.error)")
        let batch = try Command.run(
            ["train", "--resume", "run", "--verbose", "--batch-size", "3", "--epochs", "2"], in: folder)
        #expect(batch.status == 0, "\(batch.error)")
        #expect(batch.error.contains("an epoch has 2 steps now, and had 3; the 3 steps done count as 1.5 epochs"))
    }

    @Test func aFolderHasOneTrainingAtATime() throws {
        let folder = try Self.folder()
        let arguments = ["train", "--codes", "600", "--codes-size", "64-80", "--output", "run"] + Self.quick
        signal(SIGINT, SIG_DFL)
        let first = try Command.start(arguments + ["--save-every", "0"], in: folder)
        Self.waitForFile("\(folder.path)/run/checkpoint.safetensors")
        let second = try Command.run(["train", "--resume", "run"], in: folder)
        #expect(second.status == 2 && second.error.contains("run: another training is writing"), "\(second.error)")
        kill(first.process.processIdentifier, SIGINT)
        #expect(try first.wait().status == 130)
    }

    /// The same classes in another order: each keeps its row of the heads.
    @Test func headsFollowTheNamesOfTheirClasses() throws {
        let folder = try Self.folder()
        let arguments = ["train", "--epochs", "1", "--learning-rate", "0"] + Self.dataset + Self.quick
        #expect(try Command.run(arguments + ["--output", "first"], in: folder).status == 0)
        var annotations = try folder.text("codes/annotations.json")
        for (id, other) in [("0", "x"), ("4", "0"), ("x", "4")] {
            annotations = annotations.replacingOccurrences(
                of: "\"category_id\":\(id),", with: "\"category_id\":\(other),")
            annotations = annotations.replacingOccurrences(
                of: "{\"id\":\(id),\"name\"", with: "{\"id\":\(other),\"name\"")
        }
        try folder.add(Array(annotations.utf8), as: "codes/turned.json")
        let second = try Command.run(
            [
                "train", "--epochs", "1", "--learning-rate", "0", "--output", "second", "--weights", "first/last.bin",
                "--images", "codes/images", "--annotations", "codes/turned.json", "--size", "48", "--max-size", "64",
                "--freeze", "all",
            ], in: folder)
        #expect(second.status == 0, "\(second.error)")
        let name = "class_embed.0.weight"
        let before = try WeightFile.open("\(folder.path)/first/last.bin").tensor(name)
        let after = try WeightFile.open("\(folder.path)/second/last.bin").tensor(name)
        #expect(after.rows(0..<1).elements == before.rows(4..<5).elements)
        #expect(after.rows(1..<4).elements == before.rows(1..<4).elements)
        #expect(after.rows(4..<5).elements == before.rows(0..<1).elements)
    }

    /// A two-stage model finds too few locations in a photo that is all but a line.
    @Test func photosTooNarrowForAllQueriesAreLeftOut() throws {
        let folder = try Self.folder()
        try folder.add(Pictures.png(width: 300, height: 6, seed: 1), as: "codes/images/narrow.png")
        let annotations = try folder.text("codes/annotations.json").replacingOccurrences(
            of: "{\"images\":[", with: "{\"images\":[{\"id\":99,\"file_name\":\"narrow.png\"},")
        try folder.add(Array(annotations.utf8), as: "codes/annotations.json")
        let result = try Command.run(
            ["train", "--output", "run", "--epochs", "3", "--augment", "none"] + Self.dataset
                + Self.quick
                + ["--queries", "20"], in: folder)
        #expect(result.status == 0, "\(result.error)")
        #expect(
            result.error.contains(
                "codes/images/narrow.png: resized to 50x1 it has 11 locations for the two-stage model's 20 queries"),
            "\(result.error)")
    }

    private static func waitForFile(_ path: String) {
        let deadline = Date(timeIntervalSinceNow: 120)
        while !FileManager.default.fileExists(atPath: path), Date() < deadline { usleep(1000) }
    }

    @Test(arguments: [
        (["--output", "run"], "expected --images and --annotations, or --codes"),
        (["--codes", "10"], "expected --output"),
        (["--codes", "10", "--images", "codes/images", "--output", "run"], "--codes takes the place"),
        (["--images", "codes/images", "--output", "run"], "belong together"),
        (dataset + ["--output", "run", "--codes-use", "3"], "--codes-use belongs to --codes"),
        (dataset + ["--output", "run", "--codes-size", "64"], "--codes-size belongs to --codes"),
        (["--codes", "10", "--output", "run", "--epochs", "0"], "--epochs"),
        (["--codes", "10", "--output", "run", "--learning-rate", "-1"], "--learning-rate"),
        (["--codes", "10", "--output", "run", "--num-classes", "3"], "the data has 5 classes"),
        (["--codes", "10", "--output", "run", "--width", "40"], "--width"),
        (["--codes", "10", "--output", "run", "--size", "99", "--max-size", "50"], "--max-size"),
        (["--codes", "10", "--output", "run", "--val-images", "codes/images"], "--val-images needs --val-annotations"),
        (["--resume", "run", "--output", "other"], "leave --output out"),
        (["--codes", "10", "--output", "run", "--size", "64"], "fewer --queries"),
        (
            ["--codes", "10", "--output", "run", "--val-annotations", "foreign.json", "--val-images", "codes"],
            "objects of 'cat'"
        ),
    ])
    func wrongCalls(_ arguments: [String], _ message: String) throws {
        let folder = try Self.folder()
        let image =
            #"{"images": [{"id": 1, "file_name": "images/000001.jpg"}], "categories": [{"id": 1, "name": "cat"}]"#
        let box = #"{"id": 7, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]}"#
        try folder.add(Array((image + #", "annotations": [\#(box)]}"#).utf8), as: "foreign.json")
        let result = try Command.run(["train"] + arguments, in: folder)
        #expect(result.status == 64, "\(result.error)")
        #expect(result.error.contains(message), "\(result.error)")
    }

    @Test(arguments: [
        (
            ["--codes", "10", "--output", "run", "--val-annotations", "empty.json", "--val-images", "codes"],
            "expected at least one object, found none"
        ),
        (["--resume", "nowhere"], "nowhere/checkpoint.safetensors: cannot open"),
        (["--codes", "10", "--output", "run", "--backbone", "codes/annotations.json"], "codes/annotations.json"),
        (["--codes", "10", "--output", "run", "--backbone", "none.safetensors"], "none.safetensors"),
        (["--images", "codes", "--annotations", "codes/annotations.json", "--output", "run"], "codes/000001.jpg"),
        (["--images", "codes/images", "--annotations", "broken.json", "--output", "run"], "(id 7)"),
        (["--codes", "10", "--output", "codes/annotations.json"], "codes/annotations.json"),
        (["--codes", "10", "--output", "run", "--queries", "9000"], "queries"),
        (
            ["--codes", "10", "--output", "run", "--backbone", "nan.safetensors"],
            "contains nan at element 1: a training begins with finite numbers\n"
        ),
    ])
    func whatCannotBeRead(_ arguments: [String], _ message: String) throws {
        let folder = try Self.folder()
        let image =
            #"{"images": [{"id": 1, "file_name": "images/000001.jpg"}], "categories": [{"id": 1, "name": "cat"}]"#
        try folder.add(Array((image + #", "annotations": []}"#).utf8), as: "empty.json")
        let broken =
            #"{"images": [{"id": 1, "file_name": "000001.jpg"}], "categories": [{"id": 1, "name": "a"}], "annotations":"#
            + #" [{"id": 7, "image_id": 1, "category_id": 5, "bbox": [1, 1, 5, 5]}]}"#
        try folder.add(Array(broken.utf8), as: "broken.json")
        var weights = try TensorDictionary(copying: WeightFile.open("\(folder.path)/backbone.safetensors"))
        weights["conv1.weight"] = Tensor([8, 3, 7, 7], [0, .nan] + Array(repeating: 0, count: 1174))
        try SafetensorsWriter.write(weights, to: "\(folder.path)/nan.safetensors")
        let result = try Command.run(["train"] + arguments, in: folder)
        #expect(result.status == 2, "\(result.error)")
        #expect(result.error.contains(message), "\(result.error)")
    }
}
