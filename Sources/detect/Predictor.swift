// The default command's course: list the inputs, plan the outputs, load the network, run, say how it ended.

import DeformDETR
import Tensors

/// One run of the default command.
struct Predictor {
    private let options: PredictOptions
    private let messages: Messages

    init(options: PredictOptions) {
        self.options = options
        messages = Messages(level: options.messageLevel, color: options.color)
    }

    /// - Returns: the exit status.
    /// - Throws: when nothing could be done.
    func run() throws -> Int32 {
        let scan = try scanInputs()
        let inputs = scan.inputs
        guard !inputs.isEmpty else { throw noInputs(scan) }
        if options.dump != nil, inputs.count != 1 {
            throw UsageError("--dump: expected exactly one image, found \(inputs.count)")
        }
        let names = OutputNames(inputs: inputs, roots: scan.roots, workingFolder: .working)
        var options = options
        options.folder = OutputFolder(
            path: options.folder.path,
            protected: options.folder.protected.union(inputs.compactMap(\.identity)))
        try check(options, names, count: inputs.count)
        sayWhatIsSkipped(scan)
        if options.format == .coco, ImageNumbers.fromNames(of: inputs) == nil {
            messages.warning("image_id counts the inputs from 1: not every file's name is a number of its own")
        }
        guard inputs.contains(where: { $0.problem == nil }) else { return try reportProblems(inputs, options, names) }

        if options.writesFiles { try options.folder.prepare() }
        let (detector, milliseconds) = try timed { try options.model.detector() }
        for warning in detector.warnings { messages.warning(warning) }
        messages.detail(
            "\(options.model.weights): \(detector.model.configuration.summary); loaded in \(decimal(milliseconds, 0)) ms"
        )
        let classes = try options.classes.map { try ClassSelection.ids(for: $0, among: detector.classNames) }
        let plan = ImagePlan(
            files: options.images, threshold: options.threshold, topK: options.topK, classes: classes,
            keepsOriginals: options.keepsOriginals, findsAttention: options.showsAttention)
        let pipeline = Pipeline(
            detector: detector, plan: plan, inputs: inputs, imageIDs: ImageNumbers.numbers(of: inputs))
        let writer = ResultWriter(options: options, names: names, total: inputs.count, messages: messages)
        return try Interruption.guarded {
            try writer.begin()
            let dump = options.dump.map(TensorDump.init)
            let summary = pipeline.run(writer, record: dump?.record)
            if summary.succeeded > 0 { try dump?.write() }
            return summary.exitStatus
        }
    }

    private func scanInputs() throws -> InputScanner {
        let output = try? FileStatus(of: FilePath(options.folder.path)).identity
        var scanner = InputScanner(isRecursive: options.isRecursive, outputFolder: output)
        for path in try InputList.paths(options.inputs, isNULSeparated: options.isNULSeparated) { scanner.add(path) }
        return scanner
    }

    /// Refuses a run that would overwrite what it reads.
    private func check(_ options: PredictOptions, _ names: OutputNames, count: Int) throws {
        let folder = options.folder
        if options.writesImages { try folder.check((0..<count).map { names[$0].image }) }
        if let format = options.format.file { try folder.check((0..<count).map { format.name(names[$0]) }) }
        if let dump = options.dump {
            try OutputFolder.refuse(dump, ifAmong: folder.protected)
            if (try? FileStatus(of: FilePath(dump)))?.kind == .folder {
                throw UsageError("--dump: \(dump) is a folder; name a file")
            }
        }
    }

    private func noInputs(_ scan: InputScanner) -> Failure {
        guard let folder = scan.emptyFolders.first else {
            return Failure(code: "no_input", "no inputs: the list on standard input is empty")
        }
        let hint = scan.skippedFolders > 0 ? "; it has folders inside, which --recursive reads" : ""
        let formats = scan.skippedFormats.isEmpty ? "" : " (found \(Self.list(scan.skippedFormats)))"
        return Failure(code: "no_input", "\(folder.text): no JPEG or PNG images in this folder\(formats)\(hint)")
    }

    private func sayWhatIsSkipped(_ scan: InputScanner) {
        for folder in scan.emptyFolders { messages.warning("\(folder.text): no JPEG or PNG images in this folder") }
        if !scan.skippedFormats.isEmpty {
            messages.warning("skipped \(Self.list(scan.skippedFormats)): only JPEG and PNG are read")
        }
        if scan.skippedFiles > 0 { messages.detail("skipped \(counted(scan.skippedFiles, "file")) that are no images") }
        if scan.skippedFolders > 0 {
            messages.detail("skipped \(counted(scan.skippedFolders, "folder")) inside folders; --recursive reads them")
        }
    }

    /// `3 GIF, 1 HEIC`.
    private static func list(_ formats: [String: Int]) -> String {
        formats.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
    }

    /// With nothing to detect in, no network is needed to say so.
    private func reportProblems(_ inputs: [Input], _ options: PredictOptions, _ names: OutputNames) throws -> Int32 {
        let writer = ResultWriter(options: options, names: names, total: inputs.count, messages: messages)
        try writer.begin()
        for (index, input) in inputs.enumerated() {
            guard let problem = input.problem else { continue }
            let record = ImageRecord(input: input, index: index, imageID: index + 1, result: .failure(problem))
            guard writer.write(record, original: nil) else { break }
        }
        return writer.finish(isInterrupted: false).exitStatus
    }
}
