@_exported import Boxes
import Checkpoint
@_exported import Images
import Synchronization
@_exported import enum Layers.ComputePrecision
import Tensors

/// A Deformable DETR detector, from the image to the boxes.
///
/// Safe to use from several tasks: their calls take turns, each with all of the detector's threads.
///
/// Large weights are read from the file when the first image needs them. Until it has been detected, replace the file of weights
/// only by renaming another one over it: rewriting it in place mixes old and new weights, and shortening it ends the process.
public final class Detector: Sendable {
    /// Class names by id (the logits' columns); nil where a column has no name.
    public let classNames: [String?]
    public let model: DeformableDETR
    public let preprocessing: Preprocessing
    /// Non-maximum suppression: of two detections of one class whose boxes' intersection over union exceeds this, the one with the
    /// higher score stays; 0...1, and 1 keeps all.
    public let overlapLimit: Float
    /// What a person should know about the checkpoint, such as a property that had to be guessed.
    public let warnings: [String]
    package let threads: Int
    private let turn = Mutex(())

    /// An image ready for the network: resized and normalised.
    public struct PreparedImage: Sendable {
        /// Width of the upright original, in pixels.
        public let originalWidth: Int
        /// Height of the upright original, in pixels.
        public let originalHeight: Int
        /// `[1, H, W, 3]`.
        public let pixels: Tensor
    }

    /// - Parameters:
    ///   - weights: a checkpoint's path, in any known format.
    ///   - configurationFile: a Hugging Face style `config.json` that completes what the checkpoint says of itself.
    ///   - names: class names by id; nil takes the checkpoint's.
    ///   - preprocessing: the size that images are resized to; nil for the one that the weights' file states, or else the
    ///     published 800 and 1333.
    ///   - overlapLimit: see ``overlapLimit``; nil for the one that the weights' file states, or else 1.
    ///   - precision: what products are computed in; nil for what the weights' file states, or else float32. For int8 the
    ///     file must state it.
    ///   - threads: nil for all processors.
    ///   - allowsNonfinite: accept weights with NaN or infinity.
    /// - Throws: `CheckpointError`, `FileError`.
    public convenience init(
        weights: String, configurationFile: String? = nil, names: [String?]? = nil,
        preprocessing: Preprocessing? = nil, overlapLimit: Float? = nil, precision: ComputePrecision? = nil,
        threads: Int? = nil, allowsNonfinite: Bool = false
    ) throws {
        try self.init(
            ModelFile.open(weights, configurationFile: configurationFile), names: names, preprocessing: preprocessing,
            overlapLimit: overlapLimit, precision: precision, threads: threads, allowsNonfinite: allowsNonfinite)
    }

    /// The same from a file that is open already.
    public convenience init(
        _ file: ModelFile, names: [String?]? = nil, preprocessing: Preprocessing? = nil, overlapLimit: Float? = nil,
        precision: ComputePrecision? = nil, threads: Int? = nil, allowsNonfinite: Bool = false
    ) throws {
        let precision = precision ?? file.precision
        guard precision != .int8 || file.precision == .int8 else {
            throw CheckpointError.configuration(
                path: file.file.path, key: "precision", expected: "weights in int8, with a calibration",
                found: "weights in \(file.precision.dtype)")
        }
        self.init(
            try DeformableDETR(
                file.cursor(allowsNonfinite: allowsNonfinite), configuration: file.configuration,
                precision: precision),
            classNames: names ?? file.classNames, warnings: file.warnings,
            preprocessing: preprocessing ?? file.preprocessing ?? Preprocessing(),
            overlapLimit: overlapLimit ?? file.overlapLimit ?? 1, threads: threads)
    }

    /// A model that is in memory, such as one in training.
    ///
    /// - Parameters:
    ///   - classNames: by column of the logits; nil for one without name.
    ///   - warnings: what a person should know about the model.
    ///   - overlapLimit: see ``overlapLimit``.
    /// - Precondition: `overlapLimit` is a number from 0 to 1.
    public init(
        _ model: DeformableDETR, classNames: [String?], warnings: [String] = [],
        preprocessing: Preprocessing = Preprocessing(), overlapLimit: Float = 1, threads: Int? = nil
    ) {
        precondition(0...1 ~= overlapLimit, "overlap limit \(overlapLimit)")
        self.overlapLimit = overlapLimit
        self.model = model
        self.classNames = classNames
        self.warnings = warnings
        self.preprocessing = preprocessing
        self.threads = max(1, threads ?? Parallel.processorCount)
    }

    /// Several detectors with this one's network and an even share of its threads each, to work on several images at once.
    ///
    /// - Parameter count: at most this many; fewer where the threads have no such share.
    package func shared(among count: Int) -> [Detector] {
        let count = (1...max(1, min(count, threads))).last { threads % $0 == 0 } ?? 1
        guard count > 1 else { return [self] }
        return (0..<count).map { _ in
            Detector(
                model, classNames: classNames, warnings: warnings, preprocessing: preprocessing,
                overlapLimit: overlapLimit, threads: threads / count)
        }
    }

    /// Resizes and normalises; runs on the calling thread alone, so that the next image can be prepared while the network
    /// works on this one.
    public func prepare(_ image: Image) -> PreparedImage {
        PreparedImage(originalWidth: image.width, originalHeight: image.height, pixels: preprocessing(image))
    }

    /// Detects the objects in an image, best first.
    ///
    /// - Parameters:
    ///   - image: of any size.
    ///   - threshold: only detections with a score above it, 0...1.
    ///   - topK: at most this many.
    ///   - classes: only detections of these classes, by id; nil for all.
    /// - Throws: ``DetectorError``.
    public func detect(
        in image: Image, threshold: Float = 0.5, topK: Int = 100, classes: Set<Int>? = nil
    ) throws -> [Detection] {
        try detect(in: prepare(image), threshold: threshold, topK: topK, classes: classes)
    }

    /// The network and post-processing for a prepared image.
    ///
    /// - Parameter record: receives the network's intermediate tensors; see ``DeformableDETR/Recorder``.
    public func detect(
        in image: PreparedImage, threshold: Float = 0.5, topK: Int = 100, classes: Set<Int>? = nil,
        record: DeformableDETR.Recorder? = nil
    ) throws -> [Detection] {
        let output = try run(ImageBatch([image.pixels]), record: record)
        return try detections(of: image, in: output, threshold: threshold, topK: topK, classes: classes)
            .map(\.detection)
    }

    /// Detects as ``detect(in:threshold:topK:classes:)`` does, and says for each detection where the last decoder layer looked
    /// for it.
    public func detectWithAttention(
        in image: Image, threshold: Float = 0.5, topK: Int = 100, classes: Set<Int>? = nil
    ) throws -> [(detection: Detection, attention: DetectionAttention)] {
        try detectWithAttention(in: prepare(image), threshold: threshold, topK: topK, classes: classes)
    }

    /// The same for a prepared image.
    ///
    /// - Parameter record: receives the network's intermediate tensors; see ``DeformableDETR/Recorder``.
    public func detectWithAttention(
        in image: PreparedImage, threshold: Float = 0.5, topK: Int = 100, classes: Set<Int>? = nil,
        record: DeformableDETR.Recorder? = nil
    ) throws -> [(detection: Detection, attention: DetectionAttention)] {
        let (output, attention) = try inTurn {
            try model.withAttention(ImageBatch([image.pixels]), record: record)
        }
        let found = try detections(of: image, in: output, threshold: threshold, topK: topK, classes: classes)
        // Detections of several classes by one query share its points.
        var known: [Int: DetectionAttention] = [:]
        return found.map { detection, query in
            let shared =
                known[query]
                ?? attention.detection(
                    byQuery: query, image: 0, width: image.originalWidth, height: image.originalHeight)
            known[query] = shared
            return (detection, shared)
        }
    }

    private func detections(
        of image: PreparedImage, in output: DeformableDETR.Output, threshold: Float, topK: Int, classes: Set<Int>?
    ) throws -> [(detection: Detection, query: Int)] {
        try PostProcessing.detections(
            logits: output.logits, boxes: output.boxes, image: 0, width: image.originalWidth,
            height: image.originalHeight, classNames: classNames, threshold: threshold,
            overlapLimit: overlapLimit, topK: topK, chosenClasses: classes)
    }

    /// The network alone, with its stages timed.
    public func run(_ batch: ImageBatch, record: DeformableDETR.Recorder? = nil) throws -> DeformableDETR.Output {
        try inTurn { try model(batch, record: record) }
    }

    private func inTurn<Result: Sendable>(_ body: () throws -> Result) rethrows -> Result {
        try turn.withLock { _ in try Parallel.withThreadCount(threads, body) }
    }
}
