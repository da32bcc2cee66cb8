// The default command's arguments, as they are written: `detect INPUT... --weights FILE [options]`.

import ArgumentParser
import DeformDETR

struct PredictCommand: RunnableCommand {
    static let configuration = CommandConfiguration(
        commandName: "predict",
        abstract: "Find objects in images (the default command).",
        usage: """
            detect <input> ... --weights <file> [options]
            detect convert | inspect | bench | eval | train | synthesize ...
              (see detect help <command>)
            """,
        discussion: """
            Inputs are JPEG and PNG files and folders of them, told apart by content. \
            Data goes to standard output, messages to standard error. \
            Copies with boxes drawn go to the output folder under the inputs' names. \
            Inputs are never overwritten.

            EXAMPLES:
              detect street.jpg --weights w.bin
                a line about the photo, and a copy with boxes in detections/
              detect photos -r -w w.bin --format json --no-images > found.json
                everything below a folder, as JSON, without copies
              detect photos -w w.bin --classes person,dog --save-crops
                only persons and dogs, each cut out into a file of its own
              detect street.jpg -w w.bin --show-attention
                where the network looked for each detection, in
                detections/attention/
              find . -name '*.png' -print0 | detect - -0 -w w.bin -f jsonl
                a list of files; a record a line, as soon as it is known

            FORMATS:
              text   a.jpg: 640x480, 3 person, 1 dog (612 ms)
              json   an array of {path, status, width, height, detections:
                     [{class_id, label, score, box: [x_min, y_min, x_max,
                     y_max] in pixels}], ms}; a failed image has status
                     "error" and {code, message}
              jsonl  the same records, one a line
              coco   results for pycocotools. image_id is the number in the
                     file's name if every input has one of its own, or else
                     the input's place in the run, from 1
              csv    a row a detection
              yolo   labels/NAME.txt in the output folder for each image:
                     class cx cy w h confidence
              voc    annotations/NAME.xml in the output folder
                     (x.png.txt where another input has the name x.txt)

            EXIT STATUS:
              0 all inputs done, 1 some failed, 2 nothing could be done,
              64 wrong call, 130 interrupted (128 + the signal's number)
            """)

    @Argument(help: "Image files, folders, or - for a list of paths on standard input.", completion: .file())
    var inputs: [String]

    @OptionGroup(title: "MODEL OPTIONS") var model: ModelArguments
    @OptionGroup(title: "CHOICE OF DETECTIONS") var choice: ChoiceArguments
    @OptionGroup(title: "INPUT OPTIONS") var input: InputArguments
    @OptionGroup(title: "OUTPUT OPTIONS") var output: OutputArguments
    @OptionGroup(title: "MESSAGES") var message: MessageArguments

    func execute() throws -> Int32 {
        try Predictor(options: PredictOptions(self)).run()
    }
}

/// Which network, and how it runs: every command that runs one takes these.
struct NetworkArguments: ParsableArguments {
    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "The trained network: w.bin, .safetensors, .pth or .bin; told apart by content.", valueName: "file"),
        completion: .file())
    var weights: String

    @OptionGroup var settings: NetworkSettings
}

/// How a network is loaded and runs.
struct NetworkSettings: ParsableArguments {
    @Option(
        help: ArgumentHelp("A config.json that overrides what is found in or beside the weights.", valueName: "file"),
        completion: .file())
    var config: String?

    @Option(
        help: """
            What the network computes in; int8 needs weights that were converted to it. (default: what the weights are \
            stored as)
            """)
    var precision: Precision?

    @Option(help: ArgumentHelp("Processor threads. (default: all processors)", valueName: "n"))
    var threads: Int?

    @Flag(help: "Accept weights that contain NaN or infinity.")
    var allowNonfinite = false
}

/// What the network is told and shown.
struct ModelArguments: ParsableArguments {
    @OptionGroup var network: NetworkArguments
    @OptionGroup var view: ViewArguments
}

/// What a network is told of its classes, and the size that it sees images at.
struct ViewArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Class names: a name a line, a JSON array, {\"0\": \"name\"}, or a config.json.", valueName: "file"),
        completion: .file())
    var names: String?

    @Option(
        help: ArgumentHelp(
            "Resize the shorter side to this. (default: the size that the weights state, or 800)", valueName: "pixels"))
    var size: Int?

    @Option(
        help: ArgumentHelp(
            "But the longer side to no more than this. (default: what the weights state, or 1333)", valueName: "pixels")
    )
    var maxSize: Int?

    @Option(
        help: ArgumentHelp(
            """
            Non-maximum suppression: of two boxes of a class whose IoU is above this, 0 to 1, keep the one with the higher \
            score; 1 keeps all. (default: what the weights state, or 1)
            """, valueName: "iou"))
    var nms: Float?
}

/// Which detections count.
struct ChoiceArguments: ParsableArguments {
    @Option(help: ArgumentHelp("Leave out detections with a score at or below this, 0 to 1.", valueName: "score"))
    var threshold: Float = 0.5

    @Option(help: ArgumentHelp("Keep at most this many in an image, best first.", valueName: "n"))
    var topK = 100

    @Option(help: ArgumentHelp("Only these classes: names or ids, with commas between.", valueName: "list"))
    var classes: String?
}

/// What is read, and how.
struct InputArguments: ParsableArguments {
    @Flag(name: .shortAndLong, help: "Read folders inside folders.")
    var recursive = false

    @Flag(name: .customShort("0"), help: "The list on standard input has NUL between paths instead of new lines.")
    var nulSeparated = false

    @OptionGroup var decoding: DecodingArguments
}

/// How images are decoded.
struct DecodingArguments: ParsableArguments {
    @Option(help: "The camera's orientation tag.")
    var exif: DecodingOptions.ExifOrientation = .apply

    @Flag(help: "Decode what there is of damaged images instead of reporting them.")
    var allowTruncated = false

    @Option(help: ArgumentHelp("Refuse larger images.", valueName: "n"))
    var maxPixels = ImageLimits.defaultMaximumPixels
}

/// What is written, and where.
struct OutputArguments: ParsableArguments {
    @Option(name: .shortAndLong, help: "The form of the results; see FORMATS above.")
    var format: OutputFormat = .text

    @Option(name: .shortAndLong, help: ArgumentHelp("Where files are written.", valueName: "folder"))
    var output = "detections"

    @Flag(help: "Write no annotated copies.")
    var noImages = false

    @Flag(help: "Cut each detection out into crops/CLASS/ of the output folder.")
    var saveCrops = false

    @Flag(
        help: """
            Draw a picture for each detection in attention/ of the output folder: where the last decoder layer looked for \
            it, in all levels. Dots are coloured by attention weight, from blue (0) to red (the largest); a green cross \
            marks the reference point.
            """)
    var showAttention = false

    @Option(help: ArgumentHelp("Width of the boxes' lines. (default: by the image's size)", valueName: "pixels"))
    var lineWidth: Int?

    @Flag(help: "Draw boxes without class names.")
    var noLabels = false

    @Flag(help: "Draw class names without scores.")
    var noScores = false

    @Option(
        help: ArgumentHelp(
            "Write the network's tensors for one image, as safetensors in float32.", valueName: "file"),
        completion: .file())
    var dump: String?
}

/// What is said.
struct MessageArguments: ParsableArguments {
    @Flag(name: .shortAndLong, help: "Say nothing but errors.")
    var quiet = false

    @Flag(name: .shortAndLong, help: "Say more: each image's times, what was skipped.")
    var verbose = false

    @Option(help: ArgumentHelp("Colour in messages; auto follows the terminal and NO_COLOR.", valueName: "when"))
    var color: Terminal.Color = .auto
}
