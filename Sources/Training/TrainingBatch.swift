import DeformDETR
import Tensors

/// What one step learns from: images and their objects, in one piece or in parts that pass the network one after the other.
///
/// With frozen batch normalisation the parts make no difference but to memory: an image in a part of its own needs no padding.
public struct TrainingBatch: Sendable {
    /// Images that pass the network together.
    public struct Part: Sendable {
        /// `[N, H, W, 3]` with its padding, normalised.
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

    /// In the order in which they count as first, second, ...: dropout depends on it.
    public let parts: [Part]

    public init(parts: [Part]) { self.parts = parts }

    /// Sizes of images are rounded up to multiples of this: the network's operations are compiled for each size anew.
    static let extentMultiple = 64

    /// Normalises and pads images; without samples, there are no parts.
    ///
    /// - Parameters:
    ///   - samples: at the network's size.
    ///   - isJoined: whether all images pass the network together, as batch normalisation that learns needs.
    public init(_ samples: [LabelledImage], isJoined: Bool) {
        let groups = isJoined ? [samples] : samples.map { [$0] }
        parts = groups.filter { !$0.isEmpty }.map { group in
            Part(
                images: ImageBatch(group.map { $0.image.normalized() }, extentMultiple: Self.extentMultiple),
                targets: group.map(\.targets))
        }
    }

    /// Of all parts.
    public var imageCount: Int { parts.reduce(0) { $0 + $1.targets.count } }
    /// Of all parts: what a criterion divides sums over objects by.
    public var objectCount: Int { parts.reduce(0) { $0 + $1.targets.reduce(0) { $0 + $1.boxes.count } } }
}
