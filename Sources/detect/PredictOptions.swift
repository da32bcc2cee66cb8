// The default command's arguments after validation: once this exists, nothing about the call can be wrong any more.

import DeformDETR
import Tensors

/// What a run of the default command does.
struct PredictOptions: Sendable {
    let inputs: [String]
    let isRecursive: Bool
    let isNULSeparated: Bool

    let model: ModelOptions
    let threshold: Float
    let topK: Int
    /// Names or ids; nil for all.
    let classes: [String]?

    let images: ImageFiles
    let format: OutputFormat
    /// Protects the files of the model; the run adds its inputs.
    var folder: OutputFolder
    let writesImages: Bool
    let savesCrops: Bool
    /// Whether a picture shows for each detection where the network looked.
    let showsAttention: Bool
    let dump: String?

    let messageLevel: Messages.Level
    let color: Terminal.Color

    /// Whether decoded images are needed after the network has seen them.
    var keepsOriginals: Bool { writesImages || savesCrops || showsAttention }
    /// Whether anything goes to the output folder.
    var writesFiles: Bool { keepsOriginals || format.file != nil }

    /// - Throws: ``UsageError`` for a value that cannot be meant; ``FileError`` for a named file that cannot be read.
    init(_ arguments: PredictCommand) throws {
        let (choice, input, output) = (arguments.choice, arguments.input, arguments.output)
        inputs = arguments.inputs
        isRecursive = input.recursive
        isNULSeparated = input.nulSeparated
        let lists = inputs.count { $0 == "-" }
        if lists > 1 { throw UsageError("-: expected standard input once among the inputs, found \(lists) times") }
        if isNULSeparated, lists == 0 { throw UsageError("-0 is for a list on standard input: add - to the inputs") }
        if inputs.contains("") { throw UsageError("input: expected a path, found an empty argument") }

        let network = arguments.model.network
        model = try ModelOptions(weights: network.weights, settings: network.settings, view: arguments.model.view)
        threshold = choice.threshold
        guard 0...1 ~= threshold else {
            throw UsageError("--threshold: expected a number from 0 to 1, found \(threshold)")
        }
        topK = try Self.number(choice.topK, "--top-k", 1...1_000_000)
        classes = try choice.classes.map { list in
            let words = list.split(separator: ",").map { trimmed($0) }.filter { !$0.isEmpty }
            guard !words.isEmpty else { throw UsageError("--classes: expected names or ids, found none") }
            return words
        }

        let lineWidth = try output.lineWidth.map { try Self.number($0, "--line-width", 1...1000) }
        images = ImageFiles(
            decoding: try DecodingOptions(input.decoding),
            annotation: AnnotationStyle(
                lineWidth: lineWidth, showsLabels: !output.noLabels, showsScores: !output.noScores))

        format = output.format
        guard !output.output.isEmpty else { throw UsageError("--output: expected a folder, found an empty argument") }
        folder = OutputFolder(path: output.output, protected: try model.fileIdentities())
        writesImages = !output.noImages
        savesCrops = output.saveCrops
        showsAttention = output.showAttention
        dump = output.dump
        if dump == "" { throw UsageError("--dump: expected a file, found an empty argument") }

        messageLevel = try Messages.Level(arguments.message)
        color = arguments.message.color
    }

    /// - Throws: ``UsageError`` when `value` lies outside `range`.
    static func number(_ value: Int, _ option: String, _ range: ClosedRange<Int>) throws -> Int {
        guard range ~= value else {
            throw UsageError("\(option): expected \(range.lowerBound) to \(range.upperBound), found \(value)")
        }
        return value
    }
}

extension Messages.Level {
    /// - Throws: ``UsageError``.
    init(_ arguments: MessageArguments) throws {
        if arguments.quiet, arguments.verbose { throw UsageError("--quiet and --verbose exclude each other") }
        self = arguments.quiet ? .quiet : arguments.verbose ? .verbose : .normal
    }
}

extension DecodingOptions {
    /// - Throws: ``UsageError``.
    init(_ arguments: DecodingArguments) throws {
        self.init(
            maximumPixels: try PredictOptions.number(arguments.maxPixels, "--max-pixels", 1...65_535 * 65_535),
            exifOrientation: arguments.exif, allowsTruncated: arguments.allowTruncated)
    }
}

extension NetworkSettings {
    /// - Throws: ``UsageError``.
    func checkedThreads() throws -> Int? {
        try threads.map { try PredictOptions.number($0, "--threads", 1...1024) }
    }
}

/// Which network runs, and how.
struct ModelOptions: Sendable {
    let weights: String
    let configuration: String?
    let namesFile: String?
    let sides: Sides
    /// See `Detector.overlapLimit`; nil for what the weights state.
    let overlapLimit: Float?
    /// nil for what the weights are stored as.
    let precision: ComputePrecision?
    let threads: Int?
    let allowsNonfinite: Bool

    /// - Throws: ``UsageError``.
    init(weights: String, settings: NetworkSettings, view: ViewArguments) throws {
        // Larger images than this need more memory than computers have.
        let sides = Sides(
            shorter: try view.size.map { try PredictOptions.number($0, "--size", 32...4096) },
            longest: try view.maxSize.map { try PredictOptions.number($0, "--max-size", 32...8192) })
        try self.init(
            weights: weights, settings: settings, names: view.names, sides: sides,
            overlapLimit: view.nms.map(Self.overlapLimit))
    }

    /// - Throws: ``UsageError``.
    init(
        weights: String, settings: NetworkSettings, names: String? = nil, sides: Sides, overlapLimit: Float? = nil
    ) throws {
        precision = settings.precision?.computed
        self.weights = weights
        configuration = settings.config
        namesFile = names
        self.sides = sides
        self.overlapLimit = overlapLimit
        threads = try settings.checkedThreads()
        allowsNonfinite = settings.allowNonfinite
    }

    /// `--nms`.
    ///
    /// - Throws: ``UsageError``.
    static func overlapLimit(_ value: Float) throws -> Float {
        guard 0...1 ~= value else { throw UsageError("--nms: expected a number from 0 to 1, found \(value)") }
        return value
    }

    /// The files that are read for the model.
    ///
    /// - Throws: ``FileError`` when one that the user named does not exist.
    func fileIdentities() throws -> Set<FileIdentity> {
        try Self.fileIdentities(weights: weights, configuration: configuration, names: namesFile)
    }

    /// The files that are read for a model: those that the user named, which exist, and a `config.json` beside the weights.
    ///
    /// - Throws: ``FileError`` when a named one does not exist.
    static func fileIdentities(weights: String, configuration: String?, names: String?) throws -> Set<FileIdentity> {
        var files = Set(
            try [weights, configuration, names].compactMap { $0 }.map { try FileStatus(of: FilePath($0)).identity })
        let beside = FilePath(weights).folder.appending(Array("config.json".utf8))
        if let status = try? FileStatus(of: beside) { files.insert(status.identity) }
        return files
    }

    /// Loads the network.
    ///
    /// - Throws: the libraries' errors about the weights, the configuration or the names.
    func detector() throws -> Detector {
        let file = try ModelFile.open(weights, configurationFile: configuration)
        if precision == .int8, file.precision != .int8 {
            throw UsageError(
                "--precision int8: \(weights) has no calibration; detect convert \(weights) --dtype int8 --calibrate"
                    + " PHOTOS --output w8.bin makes weights that have one")
        }
        let names = try namesFile.map { try ClassNames.read($0, count: file.configuration.classes) }
        return try Detector(
            file, names: names, preprocessing: try sides.preprocessing(stated: file.preprocessing),
            overlapLimit: overlapLimit, precision: precision, threads: threads, allowsNonfinite: allowsNonfinite)
    }

    /// The sizes of `--size` and `--max-size`, where they were given.
    struct Sides: Sendable {
        let shorter: Int?
        let longest: Int?

        /// - Parameter stated: what the weights' file says.
        /// - Throws: ``UsageError`` when what was given contradicts itself or the file.
        func preprocessing(stated: Preprocessing?) throws -> Preprocessing {
            let usual = stated ?? Preprocessing()
            let size = shorter ?? min(usual.shorterSide, longest ?? usual.shorterSide)
            let maximumSize = longest ?? usual.longestSide
            guard size <= maximumSize else {
                throw UsageError("--size \(size) is above --max-size \(maximumSize); give a larger --max-size, too")
            }
            return Preprocessing(shorterSide: size, longestSide: maximumSize)
        }
    }
}
