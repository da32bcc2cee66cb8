// A network's detections in all images of a dataset, for evaluation.

import COCO
import DeformDETR
import Tensors

/// Runs a detector over a dataset's images.
struct DatasetDetection {
    /// As many as COCO's evaluation looks at in an image.
    private static let detectionsPerImage = 100
    /// Below every score: all detections count.
    private static let threshold: Float = -1

    let dataset: Dataset
    /// Where the images' file names begin.
    let folder: String
    let decoding: DecodingOptions
    let columns: CategoryColumns
    /// Whether the run is a part of something that says itself how it went.
    var isPart = false

    /// - Returns: the detections of all images that could be read, and how the run ended.
    func run(_ detector: Detector, _ messages: Messages) -> (results: [DetectionResult], summary: RunSummary) {
        let plan = ImagePlan(
            files: ImageFiles(decoding: decoding, annotation: AnnotationStyle()), threshold: Self.threshold,
            topK: Self.detectionsPerImage, classes: nil, keepsOriginals: false, findsAttention: false)
        let pipeline = Pipeline(
            detector: detector, plan: plan, inputs: dataset.images.map { Self.input($0, in: folder) },
            imageIDs: dataset.images.map(\.id))
        let collector = ResultCollector(dataset: dataset, columns: columns, messages: messages, isPart: isPart)
        collector.begin()
        let summary = pipeline.run(collector)
        return (collector.results, summary)
    }

    /// An image of the dataset. Its name comes from a file, so it must not lead out of the folder that the user named.
    private static func input(_ image: DatasetImage, in folder: String) -> Input {
        do {
            return InputScanner.image(at: FilePath(try image.path(in: folder)))
        } catch {
            return Input(path: FilePath(image.fileName ?? "image \(image.id)"), problem: Failure(error))
        }
    }
}
