import Checkpoint
import Images
import Layers
import Tensors

/// The ranges of a model's activations in typical images, which int8 is laid out for.
public struct Calibration: Sendable {
    /// By the names that `w.bin` has for them.
    let ranges: [String: ClosedRange<Float>]

    /// Runs a model in float32 on images and notes what its layers are given.
    ///
    /// - Parameters:
    ///   - images: each is asked for when it is needed; some dozens tell enough.
    ///   - preprocessing: nil for the one that the file states, or else the published one.
    ///   - threads: nil for all processors.
    /// - Throws: ``CheckpointError``, ``DetectorError``, and what asking for an image throws.
    public init(
        of file: ModelFile, images: some Sequence<() throws -> Image>, preprocessing: Preprocessing? = nil,
        threads: Int? = nil, allowsNonfinite: Bool = false
    ) throws {
        let recorded = ActivationRanges()
        let detector = try recorded.recording {
            try Detector(
                file, preprocessing: preprocessing, precision: .float32, threads: threads,
                allowsNonfinite: allowsNonfinite)
        }
        for image in images { _ = try detector.detect(in: image()) }
        ranges = recorded.ranges
    }

    /// What a file in int8 knows from its own calibration.
    init(statedBy file: ModelFile) throws {
        let names = file.configuration.tensors.flatMap(\.quantizationTensors).filter { $0.shape == [2] }.map(\.name)
        var ranges: [String: ClosedRange<Float>] = [:]
        for name in names where file.source.shape(of: name) == [2] {
            let limits = try file.source.tensor(name).elements
            if limits[0] <= limits[1] { ranges[name] = limits[0]...limits[1] }
        }
        self.ranges = ranges
    }
}
