// How well a model in training finds what it has not learnt from.

import COCO
import DeformDETR
import Images
import Tensors
import Training

/// The images that a training is judged with.
struct Validation {
    private let dataset: Dataset
    private let annotations: String
    private let folder: String
    private let decoding: DecodingOptions
    private let classNames: [String]

    /// - Parameter classNames: of the training's data, by column.
    /// - Throws: the libraries' errors about the files.
    init(annotations: String, folder: String, decoding: DecodingOptions, classNames: [String]) throws {
        dataset = try Dataset(contentsOf: annotations)
        self.annotations = annotations
        self.folder = folder
        self.decoding = decoding
        self.classNames = classNames
        // The same mistakes are mistakes here.
        let samples = try FolderSamples(
            dataset: dataset, annotations: annotations, folder: folder,
            options: .init(seed: 0, decoding: decoding))
        try samples.checkFiles()
        _ = try columns(path: "the training data")
    }

    private func columns(path: String) throws -> CategoryColumns {
        try CategoryColumns(
            classNames: classNames, classCount: classNames.count, categories: dataset.categories, weights: path,
            annotations: annotations)
    }

    /// Detects in all images and compares.
    ///
    /// - Returns: nil when a signal ended it before its time.
    /// - Throws: when no image could be read.
    func evaluate(_ detector: Detector, _ messages: Messages) throws -> BoxEvaluation? {
        let (results, summary) = try DatasetDetection(
            dataset: dataset, folder: folder, decoding: decoding, columns: columns(path: "the training data")
        ).run(detector, messages)
        if Interruption.isRequested { return nil }
        if let fatal = summary.fatal { throw fatal }
        return BoxEvaluation(of: results, against: dataset)
    }

    /// A picture of what is found in some images.
    func sheet(_ detector: Detector, title: String, count: Int, threshold: Float) throws -> Image {
        var sheet = ValidationSheet(title: title, classNames: classNames)
        // Spread over the dataset, and always the same ones.
        let step = max(1, dataset.images.count / count)
        let columns = try columns(path: "the training data")
        let byCategory = Dictionary(
            classNames.indices.compactMap { column in columns[column].map { ($0, column) } }
        ) { first, _ in first }
        for image in stride(from: 0, to: dataset.images.count, by: step).prefix(count).map({ dataset.images[$0] }) {
            guard let path = try? image.path(in: folder),
                let pixels = try? Image(contentsOf: path, options: decoding)
            else { continue }
            let truth = dataset.annotations.filter { $0.imageID == image.id && !$0.isCrowd }.compactMap { annotation in
                byCategory[annotation.categoryID].map {
                    LabelledImage.Object(classID: $0, box: CornerBox(annotation.box))
                }
            }
            sheet.add(
                image.fileName ?? "\(image.id)", image: pixels, truth: truth,
                detections: try detector.detect(in: pixels, threshold: threshold))
        }
        return sheet.image
    }
}
