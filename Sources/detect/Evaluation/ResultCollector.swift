// Takes a network's detections for evaluation, in place of writing them.

import COCO
import DeformDETR

/// Keeps the detections of classes that have a category. Used by one thread at a time.
final class ResultCollector: ResultSink {
    private let images: [DatasetImage]
    private let columns: CategoryColumns
    private let messages: Messages
    private let report: RunReport
    /// By image id.
    private let objectCounts: [Int: Int]

    private(set) var results: [DetectionResult] = []
    /// Objects in images that could not be read.
    private var lostObjectCount = 0
    /// Images whose size is not the annotations', and the first of them.
    private var otherSizeCount = 0
    private var firstOtherSize = ""

    /// - Parameter isPart: whether the run is a part of something that says itself how it went.
    init(dataset: Dataset, columns: CategoryColumns, messages: Messages, isPart: Bool) {
        images = dataset.images
        objectCounts = Dictionary(dataset.annotations.map { ($0.imageID, 1) }, uniquingKeysWith: +)
        self.columns = columns
        self.messages = messages
        report = RunReport(total: dataset.images.count, messages: messages, isPart: isPart)
    }

    /// Before the first result.
    func begin() { report.begin() }

    func write(_ record: ImageRecord, original: Image?) -> Bool {
        switch record.result {
        case .success(let content):
            let image = images[record.index]
            if let width = image.width, let height = image.height, (width, height) != (content.width, content.height) {
                otherSizeCount += 1
                if otherSizeCount == 1 {
                    firstOtherSize =
                        "\(record.input.path.text): \(content.width)x\(content.height), but the annotations are for "
                        + "\(width)x\(height)"
                }
            }
            for detection in content.detections {
                guard let category = columns[detection.classID] else { continue }
                results.append(
                    DetectionResult(
                        imageID: record.imageID, categoryID: category, box: SizedBox(detection.box),
                        score: Double(detection.score)))
            }
        case .failure: lostObjectCount += objectCounts[record.imageID] ?? 0
        }
        report.count(record)
        return true
    }

    func finish(isInterrupted: Bool) -> RunSummary {
        let summary = report.finish(isInterrupted: isInterrupted)
        if summary.failed > 0, summary.succeeded > 0, !isInterrupted {
            messages.warning(
                "\(counted(summary.failed, "image")) could not be evaluated: "
                    + "\(counted(lostObjectCount, "object")) in \(summary.failed == 1 ? "it" : "them") count as not found"
            )
        }
        if otherSizeCount > 0 {
            let others = otherSizeCount > 1 ? " (and \(otherSizeCount - 1) more)" : ""
            messages.warning("\(firstOtherSize)\(others); if they were made for unturned photos, add --exif ignore")
        }
        return summary
    }
}
