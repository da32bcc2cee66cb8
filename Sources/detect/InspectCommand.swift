// `detect inspect`: what a file of weights is. Only its table of contents is read.

import ArgumentParser
import Checkpoint
import DeformDETR
import Tensors

struct InspectCommand: RunnableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Show a checkpoint's variant, configuration, classes and tensors, without loading it.")

    @Argument(help: "The checkpoint; told apart by content.", completion: .file())
    var file: String

    @Option(
        help: ArgumentHelp(
            "A config.json that overrides what is found in or beside the checkpoint.", valueName: "file"),
        completion: .file())
    var config: String?

    func execute() throws -> Int32 {
        let output = StandardOutput()
        let model: ModelFile
        do {
            model = try ModelFile.open(file, configurationFile: config)
        } catch {
            // The table of contents helps most when the model is not one that runs.
            let weights = try WeightFile.open(file)
            try output.write("\(file.printable): \(weights.format.rawValue)\n" + Self.contents(of: weights))
            try output.flush()
            throw error
        }
        try output.write(Self.description(of: model) + Self.contents(of: model.file))
        try output.flush()
        let messages = Messages(level: .normal, color: .auto)
        for warning in model.warnings { messages.warning(warning) }
        return ExitStatus.success.rawValue
    }

    private static func description(of model: ModelFile) -> String {
        let configuration = model.configuration
        let names = model.classNames.enumerated().compactMap { id, name in name.map { "\(id) \($0.printable)" } }
        let fields = [
            ("variant", configuration.variantName),
            ("configuration", configuration.summary),
            ("refinement", configuration.refinement ? "yes" : "no"),
            ("two-stage", configuration.twoStage ? "yes" : "no"),
            ("points", "\(configuration.encoderPoints) encoder, \(configuration.decoderPoints) decoder"),
            ("feed-forward", "\(configuration.feedForwardWidth)"),
            ("parameters", grouped(model.parameterCount)),
            ("precision", model.precision.dtype),
            (
                "input size",
                model.preprocessing.map { "shorter side \($0.shorterSide), longer at most \($0.longestSide)" }
                    ?? "not stated"
            ),
            (
                "suppression",
                model.overlapLimit.map { $0 < 1 ? "of boxes of a class with an IoU above \($0)" : "none" }
                    ?? "not stated"
            ),
            (
                "classes",
                "\(configuration.classes)" + (names.isEmpty ? ", no names" : ": " + names.joined(separator: ", "))
            ),
        ]
        return "\(model.file.path.printable): \(model.format)\n" + fields.map(field).joined()
    }

    private static func contents(of file: WeightFile) -> String {
        let types = Dictionary(grouping: file.entries, by: \.elementType).sorted { $0.key.rawValue < $1.key.rawValue }
        let summary = types.map { type, entries in
            "\(type.rawValue) \(counted(entries.count, "tensor")) \(grouped(entries.reduce(0) { $0 + $1.byteCount })) bytes"
        }
        let width = file.entries.map { $0.name.printable.count }.max() ?? 0
        let lines = file.entries.map { entry in
            let name = entry.name.printable
            let type = entry.elementType.rawValue
            return "  \(name)\(spaces(width - name.count + 2))\(type)\(spaces(6 - type.count))\(entry.shape)\n"
        }
        return field("dtypes", summary.joined(separator: ", ")) + field("tensors", "\(file.entries.count)")
            + lines.joined()
    }

    private static func field(_ name: String, _ value: String) -> String {
        name + spaces(16 - name.count) + value + "\n"
    }

    private static func spaces(_ count: Int) -> String { String(repeating: " ", count: max(1, count)) }
}
