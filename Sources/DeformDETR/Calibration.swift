import Checkpoint
import Images
import Layers
import Tensors

/// The ranges of a model's activations in typical images, which int8 is laid out for.
public struct Calibration: Sendable {
    /// By the names that `w.bin` has for them.
    let ranges: [String: ClosedRange<Float>]

    /// What a file in int8 knows from its own calibration; of other files, nothing.
    init(statedBy file: ModelFile) throws {
        let names = file.configuration.tensors.flatMap(\.quantizationTensors).filter { $0.shape == [2] }.map(\.name)
        var ranges: [String: ClosedRange<Float>] = [:]
        for name in names where file.source.shape(of: name) == [2] {
            let limits = try file.source.tensor(name).elements
            if limits[0] <= limits[1] { ranges[name] = limits[0]...limits[1] }
        }
        self.ranges = ranges
    }

    fileprivate init(ranges: [String: ClosedRange<Float>]) {
        self.ranges = ranges
    }
}

/// Runs a model in float32 and notes what its layers are given.
///
/// ```swift
/// let file = try ModelFile.open("w.bin")
/// let calibrator = try Calibrator(file)
/// for photo in photos { try calibrator.observe(Image(contentsOf: photo)) }
/// try file.write(to: "w8.bin", precision: .int8, calibration: calibrator.calibration)
/// ```
public final class Calibrator: Sendable {
    private let recorded = ActivationRanges()
    private let detector: Detector

    /// - Parameters:
    ///   - preprocessing: nil for the one that the file states, or else the published one.
    ///   - threads: nil for all processors.
    /// - Throws: `CheckpointError`, `FileError`.
    public init(
        _ file: ModelFile, preprocessing: Preprocessing? = nil, threads: Int? = nil, allowsNonfinite: Bool = false
    ) throws {
        detector = try recorded.recording {
            try Detector(
                file, preprocessing: preprocessing, precision: .float32, threads: threads,
                allowsNonfinite: allowsNonfinite)
        }
    }

    /// Some dozens of images, of the kind that will be detected in, tell enough.
    ///
    /// - Throws: ``DetectorError``.
    public func observe(_ image: Image) throws {
        _ = try detector.detect(in: image)
    }

    /// What has been learnt so far.
    public var calibration: Calibration { Calibration(ranges: recorded.ranges) }
}
