// The course of `detect eval`: read the truth, read or make the detections, compare, write the numbers.

import COCO
import DeformDETR
import Tensors

/// One run of `detect eval`.
struct Evaluator {
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
        let detector = try logged("\(model.weights): loaded") { try model.detector() }
        for warning in detector.warnings { messages.warning(warning) }
        let columns = try CategoryColumns(
            classNames: detector.classNames, classCount: detector.model.configuration.classes,
            categories: dataset.categories, weights: model.weights, annotations: options.annotations)
        for warning in columns.warnings { messages.warning(warning) }

        let detection = DatasetDetection(dataset: dataset, folder: folder, decoding: decoding, columns: columns)
        return Interruption.guarded { detection.run(detector, messages) }
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
