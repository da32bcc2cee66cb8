// What a call of `detect train` asks for, as one value: from its own arguments, or from those of the training it goes on with.

import Checkpoint
import DeformDETR
import Tensors
import Training

/// The arguments of a training, and where it goes on.
struct TrainingSession {
    let arguments: TrainCommand
    /// The words that a later `--resume` begins with.
    let words: [String]
    let folder: OutputFolder
    /// Open when the training goes on.
    let checkpoint: WeightFile?
    /// What ``checkpoint`` was saved with.
    let notes: [String: String]

    /// Keys of the strings in a checkpoint.
    enum Note {
        static let words = "arguments"
        static let configuration = "configuration"
        static let classNames = "class_names"
        static let begunWithNothing = "begun_with_nothing"
        static let best = "best"
        static let preprocessing = "preprocessing"
        static let overlapLimit = "nms"
        static let seconds = "seconds"
        static let stepsPerEpoch = "steps_per_epoch"
    }

    /// - Parameter command: as it was called.
    /// - Throws: ``UsageError``; the libraries' errors about the checkpoint.
    init(_ command: TrainCommand) throws {
        let given = Array(
            CommandLine.arguments.dropFirst().drop { $0 != TrainCommand.configuration.commandName }.dropFirst())
        guard let resumed = command.result.resume else {
            guard let output = command.result.output, !output.isEmpty else {
                throw UsageError("train: expected --output, the folder to write to, or --resume; found neither")
            }
            arguments = command
            words = Self.withoutMessages(given)
            checkpoint = nil
            notes = [:]
            folder = try Self.outputFolder(output, command)
            let earlier = FilePath(output).appending(Array(TrainingFiles.checkpoint.utf8))
            guard (try? FileStatus(of: earlier)) == nil else {
                throw UsageError(
                    "train: \(output) holds a training already; --resume \(output) goes on with it; for a new one, choose"
                        + " another folder or remove \(earlier.text)")
            }
            return
        }
        guard command.result.output == nil else {
            throw UsageError("train: --resume goes on in its own folder; leave --output out")
        }
        if let option = command.model.shapingOption {
            throw UsageError("train: --resume goes on with the model of its checkpoint; leave \(option) out")
        }
        let path = FilePath(resumed).appending(Array(TrainingFiles.checkpoint.utf8)).text
        let checkpoint = try WeightFile.open(path)
        notes = try Trainer.notes(of: checkpoint)
        self.checkpoint = checkpoint
        // Later options replace earlier ones.
        let options = Self.withoutResume(given)
        words = try Self.words(in: notes, path) + Self.withoutMessages(options)
        do {
            arguments = try TrainCommand.parse(try Self.words(in: notes, path) + options)
        } catch {
            throw UsageError("train: \(TrainCommand.message(for: error)) (with the options of \(path))")
        }
        folder = try Self.outputFolder(resumed, arguments)
    }

    /// The folder, in which nothing that the training reads may be replaced.
    ///
    /// - Throws: ``UsageError`` when a file of the training has the name of one that it reads.
    private static func outputFolder(_ path: String, _ arguments: TrainCommand) throws -> OutputFolder {
        let data = arguments.data
        let read = [data.annotations, data.valAnnotations, arguments.model.weights, arguments.model.backbone]
        // What is not there is reported where it is read.
        let identities = read.compactMap { path in path.flatMap { try? FileStatus(of: FilePath($0)).identity } }
        let folder = OutputFolder(path: path, protected: Set(identities))
        try folder.check(TrainingFiles.all)
        return folder
    }

    private static func words(in notes: [String: String], _ path: String) throws -> [String] {
        let text = notes[Note.words] ?? ""
        let json = try JSONValue(parsing: Array(text.utf8), origin: "\(path), metadata '\(Note.words)'")
        guard case .array(let elements) = json else {
            throw CheckpointError.configuration(
                path: path, key: "metadata '\(Note.words)'", expected: "a list of arguments", found: json.kind)
        }
        return try elements.map { element in
            guard case .string(let word) = element else {
                throw CheckpointError.configuration(
                    path: path, key: "metadata '\(Note.words)'", expected: "a list of texts", found: element.kind)
            }
            return word
        }
    }

    // MARK: - Notes

    /// What a checkpoint is saved with.
    func notes(
        configuration: Configuration, preprocessing: Preprocessing, overlapLimit: Float, begunWithNothing: Bool,
        classNames: [String], best: Double?, seconds: Double, stepsPerEpoch: Int
    ) throws -> [String: String] {
        var notes = [
            Note.words: JSONText.array(words.map(JSONValue.quoted)),
            Note.preprocessing: preprocessing.json,
            Note.overlapLimit: "\(overlapLimit)",
            Note.seconds: "\(seconds)",
            Note.stepsPerEpoch: "\(stepsPerEpoch)",
            Note.configuration: try configuration.json(),
            Note.begunWithNothing: "\(begunWithNothing)",
            Note.classNames: JSONText.array(classNames.map(JSONValue.quoted)),
        ]
        notes[Note.best] = best.map { "\($0)" }
        return notes
    }

    /// How long the training had run when the checkpoint was saved.
    var seconds: Double {
        let saved = notes[Note.seconds].flatMap(Double.init) ?? 0
        return (0...1e9).contains(saved) ? saved : 0
    }

    /// The best AP before the checkpoint was saved, for a training whose metrics are lost; nil when there was none.
    var best: Double? { notes[Note.best].flatMap(Double.init) }

    /// What is not as the training left it.
    ///
    /// - Parameters:
    ///   - stepsPerEpoch: as the data and the batch size have it now.
    ///   - steps: that were done.
    func warnings(stepsPerEpoch: Int, steps: Int, _ metrics: TrainingMetrics) -> [String] {
        var warnings: [String] = []
        if let saved = notes[Note.stepsPerEpoch].flatMap(Int.init), saved != stepsPerEpoch {
            warnings.append(
                "an epoch has \(counted(stepsPerEpoch, "step")) now, and had \(saved); the"
                    + " \(counted(steps, "step")) done count as \(decimal(Double(steps) / Double(stepsPerEpoch), 1))"
                    + " epochs")
        }
        if steps > 0, metrics.steps.isEmpty, metrics.validations.isEmpty {
            warnings.append("\(folder.path)/\(TrainingFiles.metrics) is empty or gone; it begins anew")
        }
        return warnings
    }

    /// - Throws: ``UsageError`` when the training's data now has other classes than it had, or more than the model.
    func requireSameClasses(_ classNames: [String], _ configuration: Configuration) throws {
        let found = JSONText.array(classNames.map(JSONValue.quoted))
        let saved = notes[Note.classNames] ?? "[]"
        guard saved != found || classNames.count > configuration.classes else { return }
        throw UsageError(
            "train: the training in \(folder.path) is of the classes \(saved), but its data now has \(found)")
    }

    /// What is said, and in which colours, is each call's own affair.
    private static func withoutMessages(_ words: [String]) -> [String] {
        without(["--color"], words).filter { !["-q", "--quiet", "-v", "--verbose"].contains($0) }
    }

    private static func withoutResume(_ words: [String]) -> [String] { without(["--resume"], words) }

    /// The words without some options and their values.
    private static func without(_ options: [String], _ words: [String]) -> [String] {
        var rest: [String] = []
        var skipsValue = false
        for word in words {
            if skipsValue {
                skipsValue = false
            } else if options.contains(word) {
                skipsValue = true
            } else if !options.contains(where: { word.hasPrefix($0 + "=") }) {
                rest.append(word)
            }
        }
        return rest
    }
}

/// Names in the output folder.
enum TrainingFiles {
    static let checkpoint = "checkpoint.safetensors"
    static let best = "best.bin"
    static let last = "last.bin"
    static let metrics = "metrics.jsonl"
    static let curves = "curves.png"
    static let sheet = "validation.jpg"

    static let all = [checkpoint, best, last, metrics, curves, sheet]
}
