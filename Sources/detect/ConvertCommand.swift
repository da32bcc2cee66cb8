// `detect convert`: any known checkpoint to `w.bin`, which loads at once and carries its configuration and class names.

import ArgumentParser
import DeformDETR
import Tensors

struct ConvertCommand: RunnableCommand {
    static let configuration = CommandConfiguration(
        commandName: "convert",
        abstract: "Turn a checkpoint into w.bin: one file that carries everything and loads at once.",
        usage: "detect convert <source> --output <file> [options]",
        discussion: """
            Reads the authors' .pth, Hugging Face safetensors (with a config.json beside the file, if there is one) and \
            pytorch_model.bin. The result is a valid safetensors file whose metadata holds configuration and class names.

            EXAMPLES:
              detect convert r50_deformable_detr-checkpoint.pth --output w.bin
              detect convert w.bin --dtype int8 --calibrate photos/ --output w8.bin
            """)

    @Argument(help: "The checkpoint; told apart by content.", completion: .file())
    var source: String

    @Option(name: .shortAndLong, help: ArgumentHelp("Where to write.", valueName: "file"), completion: .file())
    var output: String

    @Option(
        help: """
            What the weights are stored as, and the network will compute in unless --precision says otherwise. bf16 halves \
            the file and the time; int8 quarters the file and is faster still, but needs --calibrate. (default: what the \
            checkpoint states, or f32)
            """)
    var dtype: Precision?

    @Option(
        help: ArgumentHelp(
            "For --dtype int8: a folder of typical photos, some dozens, that tell how large activations become.",
            valueName: "folder"),
        completion: .directory)
    var calibrate: String?

    @Option(
        help: ArgumentHelp(
            "Class names in place of the checkpoint's: a name a line, a JSON array, {\"0\": \"name\"}, or a config.json.",
            valueName: "file"),
        completion: .file())
    var names: String?

    @Option(
        help: ArgumentHelp(
            "A config.json that overrides what is found in or beside the checkpoint.", valueName: "file"),
        completion: .file())
    var config: String?

    @Option(
        help: ArgumentHelp(
            """
            State for every use of the result: of two boxes of a class whose IoU is above this, 0 to 1, keep the one with \
            the higher score; 1 keeps all. (default: what the checkpoint states)
            """, valueName: "iou"))
    var nms: Float?

    @Flag(help: "Accept weights that contain NaN or infinity.")
    var allowNonfinite = false

    @Flag(name: .shortAndLong, help: "Say nothing but errors.")
    var quiet = false

    func execute() throws -> Int32 {
        let precision = dtype?.computed
        guard !output.isEmpty else { throw UsageError("--output: expected a file, found an empty argument") }
        let overlapLimit = try nms.map(ModelOptions.overlapLimit)
        let sources = try ModelOptions.fileIdentities(weights: source, configuration: config, names: names)
        try OutputFolder.refuse(output, ifAmong: sources)

        let messages = Messages(level: quiet ? .quiet : .normal, color: .auto)
        let model = try ModelFile.open(source, configurationFile: config)
        for warning in model.warnings { messages.warning(warning) }
        let classNames = try names.map { try ClassNames.read($0, count: model.configuration.classes) }
        let calibration = try calibration(of: model, precision: precision, messages)
        let (_, milliseconds) = try timed {
            try Interruption.guarded {
                try model.write(
                    to: output, classNames: classNames, overlapLimit: overlapLimit, precision: precision,
                    calibration: calibration, allowsNonfinite: allowNonfinite)
            }
        }
        messages.note("\(source): \(model.format), \(model.configuration.summary)")
        messages.note("wrote \(output) in \(decimal(milliseconds / 1000, 1)) s")
        return Interruption.isRequested ? Interruption.exitStatus : ExitStatus.success.rawValue
    }

    /// - Returns: nil where none is asked for, and none is needed.
    private func calibration(
        of model: ModelFile, precision: ComputePrecision?, _ messages: Messages
    ) throws -> Calibration? {
        guard let calibrate else {
            guard precision != .int8 || model.precision == .int8 else {
                throw UsageError("--dtype int8 needs --calibrate, a folder with typical photos")
            }
            return nil
        }
        guard precision == .int8 else { throw UsageError("--calibrate is for --dtype int8") }
        return try CalibrationImages(folder: calibrate)
            .calibration(of: model, allowsNonfinite: allowNonfinite, messages)
    }
}
