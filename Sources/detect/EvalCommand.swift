// `detect eval`: how well a network, or a file of its detections, agrees with a COCO dataset.

import ArgumentParser
import DeformDETR

struct EvalCommand: RunnableCommand {
    static let configuration = CommandConfiguration(
        commandName: "eval",
        abstract: "Compare detections with the true boxes of a COCO dataset.",
        usage: """
            detect eval --weights <file> --images <folder> --annotations <file>
            detect eval --detections <file> --annotations <file>
            """,
        discussion: """
            Writes the twelve lines of pycocotools' COCOeval for boxes, then each class's numbers; \
            -1 stands where there is nothing to find.

            With --weights, every image that the annotation file lists is read from the folder, \
            and its 100 best detections of all classes count, whatever their score. \
            An image that cannot be read is reported, and its objects count as not found.

            CLASSES:
              The network's classes belong to the dataset's categories of the same name. If no name is the same \
            (or the network knows no names), class n belongs to category id n. \
            Classes without a category do not count; categories without a class are never found, and a warning says so.

            EXAMPLES:
              detect eval -w w.bin --images val/ --annotations val.json
              detect photos/ -w w.bin -f coco --threshold 0 > found.json
              detect eval --detections found.json --annotations val.json

            JSON:
              {"stats": [AP, AP50, AP75, AP small, medium, large,
              AR1, AR10, AR100, AR small, medium, large],
              "per_class": [{"category_id", "name", "objects",
              "ap", "ap50", "ap75", "ar"}]}

            EXIT STATUS:
              0 evaluated, 1 evaluated, but some images failed,
              2 nothing could be evaluated, 64 wrong call, 130 interrupted
            """)

    @OptionGroup(title: "EVALUATION") var comparison: ComparisonArguments
    @OptionGroup(title: "MODEL OPTIONS") var settings: NetworkSettings
    @OptionGroup(title: "MODEL OPTIONS") var view: ViewArguments
    @OptionGroup(title: "IMAGE OPTIONS") var decoding: DecodingArguments
    @OptionGroup(title: "MESSAGES") var message: MessageArguments

    /// An option that says something of the network; nil when there is none.
    fileprivate var networkOption: String? {
        let given = [
            ("--names", view.names != nil), ("--size", view.size != nil), ("--max-size", view.maxSize != nil),
            ("--nms", view.nms != nil), ("--config", settings.config != nil),
            ("--precision", settings.precision != nil),
            ("--allow-nonfinite", settings.allowNonfinite),
        ]
        return given.first { $0.1 }?.0
    }

    func execute() throws -> Int32 {
        try Evaluator(options: EvalOptions(self)).run()
    }
}

/// What is compared, and how the numbers are written.
struct ComparisonArguments: ParsableArguments {
    @Option(help: ArgumentHelp("The dataset's COCO annotation file.", valueName: "file"), completion: .file())
    var annotations: String

    @Option(help: ArgumentHelp("A file of results in COCO's form.", valueName: "file"), completion: .file())
    var detections: String?

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "The trained network: w.bin, .safetensors, .pth or .bin; told apart by content.", valueName: "file"),
        completion: .file())
    var weights: String?

    @Option(
        help: ArgumentHelp("The folder that the annotations' file names begin in.", valueName: "folder"),
        completion: .directory)
    var images: String?

    @Flag(help: "Write JSON in place of text.")
    var json = false
}

/// The arguments of `detect eval` after validation.
struct EvalOptions: Sendable {
    /// Where the detections come from.
    enum Source: Sendable {
        case results(path: String)
        case network(ModelOptions, folder: String, decoding: DecodingOptions)
    }

    let annotations: String
    let source: Source
    let threads: Int?
    let writesJSON: Bool
    let messageLevel: Messages.Level
    let color: Terminal.Color

    /// - Throws: ``UsageError``.
    init(_ arguments: EvalCommand) throws {
        annotations = arguments.comparison.annotations
        threads = try arguments.settings.checkedThreads()
        writesJSON = arguments.comparison.json
        messageLevel = try Messages.Level(arguments.message)
        color = arguments.message.color
        let decoding = try DecodingOptions(arguments.decoding)
        let comparison = arguments.comparison
        switch (comparison.detections, comparison.weights, comparison.images) {
        case (let path?, nil, nil):
            if let option = arguments.networkOption {
                throw UsageError("eval: \(option) is for --weights, and --detections needs no network; leave it out")
            }
            source = .results(path: path)
        case (nil, let weights?, let folder?):
            let model = try ModelOptions(weights: weights, settings: arguments.settings, view: arguments.view)
            source = .network(model, folder: folder, decoding: decoding)
        case (nil, nil, nil): throw UsageError("eval: expected --weights and --images, or --detections; found none")
        case (nil, _?, nil): throw UsageError("eval: --weights needs --images, the folder of the annotated images")
        case (nil, nil, _?): throw UsageError("eval: --images needs --weights, the network to evaluate")
        case (_?, _, _):
            throw UsageError("eval: --detections takes the place of --weights and --images; leave these out")
        }
    }
}
