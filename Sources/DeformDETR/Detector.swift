@_exported import Boxes
@_exported import Images
import Tensors

/// A Deformable DETR detector, from the file to the boxes: the interface that the command is written against.
public final class Detector: Sendable {
    /// How images are brought to the network's size.
    public struct Preprocessing: Sendable, Equatable {
        /// The shorter side after resizing, in pixels.
        public var shorterSide: Int
        /// The longer side is never more than this, in pixels.
        public var longestSide: Int

        public init(shorterSide: Int = 800, longestSide: Int = 1333) {
            self.shorterSide = shorterSide
            self.longestSide = longestSide
        }
    }

    /// An image ready for the network: resized and normalised.
    public struct PreparedImage: Sendable {
        /// Width of the upright original, in pixels.
        public let originalWidth: Int
        /// Height of the upright original, in pixels.
        public let originalHeight: Int
        /// `[1, H, W, 3]`.
        public let pixels: Tensor
    }

    /// Class names by id (logit column); nil where a column has no name.
    public let classNames: [String?]

    /// - Parameters:
    ///   - weights: a checkpoint in any known format.
    ///   - configurationFile: a Hugging Face style `config.json` that overrides what is found in or beside the checkpoint.
    ///   - names: class names by id; nil takes the checkpoint's.
    ///   - threads: nil for all processors.
    ///   - allowsNonfinite: accept weights with NaN or infinity.
    public init(
        weights: String, configurationFile: String? = nil, names: [String?]? = nil,
        preprocessing: Preprocessing = Preprocessing(), threads: Int? = nil, allowsNonfinite: Bool = false
    ) throws {
        classNames = names ?? []
    }

    /// Resizes and normalises; runs on the calling thread, so that the next image can be prepared while this one is detected.
    public func prepare(_ image: Image) -> PreparedImage {
        PreparedImage(originalWidth: image.width, originalHeight: image.height, pixels: Tensor([1, 1, 1, 3]))
    }

    /// The network and post-processing. Calls from several tasks take turns.
    ///
    /// - Parameters:
    ///   - threshold: only detections with a score above it.
    ///   - topK: at most this many, best first.
    ///   - record: called with the name and value of each tensor of `--dump`.
    public func detect(
        in image: PreparedImage, threshold: Float = 0.5, topK: Int = 100,
        record: ((_ name: String, _ value: Tensor) -> Void)? = nil
    ) throws -> [Detection] {
        []
    }

    /// Detects the objects in an image, best first.
    public func detect(in image: Image, threshold: Float = 0.5, topK: Int = 100) throws -> [Detection] {
        try detect(in: prepare(image), threshold: threshold, topK: topK)
    }
}
