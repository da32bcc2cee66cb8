// The course of `detect eval`: read the truth, read or make the detections, compare, write the numbers.

import COCO
import DeformDETR
import Tensors

/// One run of `detect eval`.
struct Evaluator {
    /// As many as COCO's evaluation looks at in an image.
    private static let detectionsPerImage = 100
    /// Below every score: all detections count.
    private static let threshold: Float = -1

    private let options: EvalOptions
    private let messages: Messages

    init(options: EvalOptions) {
        self.options = options
        messages = Messages(level: options.messageLevel, color: options.color)
    }

    /// - Returns: the exit status.
    /// - Throws: when nothing could be evaluated.
    func run() throws -> Int32 {
        let dataset = try logged("\(options.annotations): read") { try Dataset(contentsOf: options.annotations) }
        if let id = dataset.repeatedAnnotationIDs.first {
            messages.warning(
                "\(options.annotations): several annotations have the id \(id)"
                    + "; each counts here, but only the last one in pycocotools")
        }
        switch options.source {
        case .results(let path):
            let results = try logged("\(path): read") { try dataset.results(contentsOf: path) }
            try warnOfForeignCategories(results, dataset, path)
            try write(results, dataset)
            return ExitStatus.success.rawValue
        case .network(let model, let folder, let decoding):
            let (results, summary) = try detect(dataset, model, folder, decoding)
            // Numbers of a part of the images would be taken for those of all.
            if summary.succeeded > 0, !Interruption.isRequested { try write(results, dataset) }
            return summary.exitStatus
        }
    }

    private func logged<Result>(_ what: String, _ body: () throws -> Result) rethrows -> Result {
        let (result, milliseconds) = try timed(body)
        messages.detail("\(what) in \(decimal(milliseconds, 1)) ms")
        return result
    }

    private func warnOfForeignCategories(_ results: [DetectionResult], _ dataset: Dataset, _ path: String) throws {
        let known = Set(dataset.categories.map(\.id))
        let foreign = results.filter { !known.contains($0.categoryID) }
        guard let first = foreign.first else { return }
        guard foreign.count < results.count else {
            throw Failure(
                code: "no_category",
                "\(path): expected results of categories that \(options.annotations) lists, found none, but"
                    + " category_id \(first.categoryID)")
        }
        messages.warning(
            "\(path): \(counted(foreign.count, "result")) do not count: \(options.annotations) has no such category"
                + " (the first is \(first.categoryID))")
    }

    /// Runs the network on the dataset's images.
    private func detect(
        _ dataset: Dataset, _ model: ModelOptions, _ folder: String, _ decoding: DecodingOptions
    ) throws -> (results: [DetectionResult], summary: RunSummary) {
        guard !dataset.images.isEmpty else {
            throw Failure(code: "no_input", "\(options.annotations): images: expected at least one, found none")
        }
        guard try FileStatus(of: FilePath(folder)).kind == .folder else {
            throw Failure(code: "not_a_folder", "\(folder): expected the folder of the annotated images, found a file")
        }
        let inputs = dataset.images.map { Self.input($0, in: folder) }
        let detector = try logged("\(model.weights): loaded") { try model.detector() }
        for warning in detector.warnings { messages.warning(warning) }
        let columns = try CategoryColumns(
            classNames: detector.classNames, classCount: detector.model.configuration.classes,
            categories: dataset.categories, weights: model.weights, annotations: options.annotations)
        for warning in columns.warnings { messages.warning(warning) }

        let plan = ImagePlan(
            files: ImageFiles(decoding: decoding, annotation: AnnotationStyle()), threshold: Self.threshold,
            topK: Self.detectionsPerImage, classes: nil, keepsOriginals: false, findsAttention: false)
        let pipeline = Pipeline(
            detector: detector, plan: plan, inputs: inputs, imageIDs: dataset.images.map(\.id))
        let collector = ResultCollector(dataset: dataset, columns: columns, messages: messages)
        collector.begin()
        let summary = Interruption.guarded { pipeline.run(collector) }
        return (collector.results, summary)
    }

    /// An image of the dataset. Its name comes from a file, so it must not lead out of the folder that the user named.
    private static func input(_ image: DatasetImage, in folder: String) -> Input {
        do {
            return InputScanner.image(at: FilePath(try image.path(in: folder)))
        } catch {
            let shown =
                switch error {
                case .missing(let id): "image \(id)"
                case .outsideFolder(_, let fileName): fileName
                }
            return Input(path: FilePath(shown), problem: Failure(error))
        }
    }

    private func write(_ results: [DetectionResult], _ dataset: Dataset) throws {
        let evaluation = logged("\(counted(results.count, "result")): evaluated") {
            Parallel.withThreadCount(options.threads ?? Parallel.processorCount) {
                BoxEvaluation(of: results, against: dataset)
            }
        }
        let report = EvaluationReport(evaluation: evaluation)
        let output = StandardOutput()
        try output.write(options.writesJSON ? report.json : report.text)
        try output.flush()
    }
}
