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
    private let columns: CategoryColumns

    /// - Parameter classNames: of the training's data, by column.
    /// - Throws: ``UsageError`` for a file that nothing can be judged with; the libraries' errors about the files.
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
        try Self.requireKnownObjects(in: dataset, annotations, classNames)
        columns = try CategoryColumns(
            classNames: classNames, classCount: classNames.count, categories: dataset.categories,
            weights: "the training data", annotations: annotations)
    }

    /// Scores mean something where all that is to be found could be.
    ///
    /// - Throws: ``UsageError``.
    private static func requireKnownObjects(
        in dataset: Dataset, _ annotations: String, _ classNames: [String]
    ) throws {
        let counted = Set(dataset.annotations.filter { !$0.isCrowd }.map(\.categoryID))
        let known = Set(classNames.map { $0.lowercased() })
        let foreign = dataset.categories.first { counted.contains($0.id) && !known.contains($0.name.lowercased()) }
        if let foreign {
            throw UsageError(
                "--val-annotations \(annotations): has objects of '\(foreign.name)' (category \(foreign.id)), which the"
                    + " training data has not; its classes are \(classNames.map { "'\($0)'" }.joined(separator: ", "))")
        }
    }

    /// Detects in all images and compares.
    ///
    /// - Returns: nil when a signal ended it before its time.
    /// - Throws: when no image could be read.
    func evaluate(_ detector: Detector, _ messages: Messages) throws -> BoxEvaluation? {
        let (results, summary) = DatasetDetection(
            dataset: dataset, folder: folder, decoding: decoding, columns: columns, isPart: true
        ).run(detector, messages)
        if Interruption.isRequested { return nil }
        guard summary.succeeded > 0 else {
            throw Failure(code: "no_input", "\(annotations): none of its images in \(folder) could be read any more")
        }
        return BoxEvaluation(of: results, against: dataset)
    }

    /// A picture of what is found in some images.
    func sheet(_ detector: Detector, title: String, count: Int, threshold: Float) -> Image {
        var sheet = ValidationSheet(title: title, classNames: classNames)
        // Spread over the dataset, and always the same ones.
        let step = max(1, dataset.images.count / count)
        let byCategory = Dictionary(
            classNames.indices.compactMap { column in columns[column].map { ($0, column) } }
        ) { first, _ in first }
        for image in stride(from: 0, to: dataset.images.count, by: step).prefix(count).map({ dataset.images[$0] }) {
            guard let path = try? image.path(in: folder),
                let pixels = try? Image(contentsOf: path, options: decoding),
                let detections = try? detector.detect(in: pixels, threshold: threshold)
            else { continue }
            let truth = dataset.annotations.filter { $0.imageID == image.id && !$0.isCrowd }.compactMap { annotation in
                byCategory[annotation.categoryID].map {
                    LabelledImage.Object(classID: $0, box: CornerBox(annotation.box))
                }
            }
            sheet.add(
                image.fileName ?? "\(image.id)", image: pixels, truth: truth, detections: detections)
        }
        return sheet.image
    }
}
