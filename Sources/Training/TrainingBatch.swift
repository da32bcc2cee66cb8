import DeformDETR
import Tensors

/// What one step learns from: images and their objects, in one piece or in parts that pass the network one after the other.
///
/// With frozen batch normalisation the parts make no difference but to memory: an image in a part of its own needs no padding.
public struct TrainingBatch: Sendable {
    /// Images that pass the network together.
    public struct Part: Sendable {
        public let images: ImageBatch
        /// One an image.
        public let targets: [Targets]

        /// - Precondition: as many targets as images.
        public init(images: ImageBatch, targets: [Targets]) {
            precondition(
                images.pixels.images == targets.count, "\(targets.count) targets for \(images.pixels.images) images")
            self.images = images
            self.targets = targets
        }
    }

    public let parts: [Part]

    public init(parts: [Part]) { self.parts = parts }

    /// Sizes of images are rounded up to multiples of this: the network's operations are compiled for each size anew.
    static let extentMultiple = 64

    /// - Parameters:
    ///   - samples: at the network's size.
    ///   - isJoined: whether all images pass the network together, as batch normalisation needs.
    public init(_ samples: [LabelledImage], isJoined: Bool) {
        let groups = isJoined ? [samples] : samples.map { [$0] }
        parts = groups.filter { !$0.isEmpty }.map { group in
            Part(
                images: ImageBatch(group.map { $0.image.normalized() }, extentMultiple: Self.extentMultiple),
                targets: group.map(\.targets))
        }
    }

    public var imageCount: Int { parts.reduce(0) { $0 + $1.targets.count } }
    public var objectCount: Int { parts.reduce(0) { $0 + $1.targets.reduce(0) { $0 + $1.boxes.count } } }
}
