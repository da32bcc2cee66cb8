import Layers
import Tensors

/// Normalised images of different sizes in one padded tensor.
public struct ImageBatch: Sendable {
    /// What padding does to the images of a batch.
    public enum PaddingRule: Sendable, Hashable {
        /// Nothing: each image gets the result that it has alone.
        case excluded
        /// What it does in the reference implementations: convolutions and group normalisation see the padding, level masks
        /// are nearest-neighbour samples of the image mask, and padded proposals compete in the two-stage variant.
        case asInReference
    }

    /// `[N, H, W, 3]`; each image lies at the top left, the rest is zero.
    public let pixels: FeatureMap
    public let paddingRule: PaddingRule

    /// - Parameters:
    ///   - images: `[1, h, w, 3]` each, not empty.
    ///   - paddingRule: see ``PaddingRule``.
    ///   - extentMultiple: height and width of the batch are made multiples of this many pixels, so that batches of images of
    ///     many sizes have few.
    public init(_ images: [Tensor], paddingRule: PaddingRule = .excluded, extentMultiple: Int = 1) {
        precondition(
            !images.isEmpty && images.allSatisfy { $0.shape.rank == 4 && $0.shape[0] == 1 && $0.shape[3] == 3 },
            "a batch needs images of [1, h, w, 3], not \(images.map(\.shape))")
        let sizes = images.map { ValidSize(height: $0.shape[1], width: $0.shape[2]) }
        precondition(extentMultiple > 0, "extents in multiples of \(extentMultiple)")
        self.paddingRule = paddingRule
        func extent(_ side: KeyPath<ValidSize, Int>) -> Int {
            let longest = sizes.map { $0[keyPath: side] }.max() ?? 0
            return (longest + extentMultiple - 1) / extentMultiple * extentMultiple
        }
        let (height, width) = (extent(\.height), extent(\.width))
        guard images.count > 1 || sizes[0] != ValidSize(height: height, width: width) else {
            pixels = FeatureMap(values: images[0])
            return
        }
        var padded = Tensor([images.count, height, width, 3])
        padded.withMutableElements { padded in
            for (index, image) in images.enumerated() {
                let rowCount = sizes[index].width * 3
                image.withElements { image in
                    for row in 0..<sizes[index].height {
                        let start = (index * height + row) * width * 3
                        _ = padded[start..<start + rowCount]
                            .update(fromContentsOf: image[row * rowCount..<(row + 1) * rowCount])
                    }
                }
            }
        }
        pixels = FeatureMap(values: padded, validSizes: sizes)
    }

    var images: Int { pixels.images }

    /// What the network's convolutions see: with ``PaddingRule/asInReference``, padding that counts as image.
    var backboneInput: FeatureMap {
        paddingRule == .excluded ? pixels : FeatureMap(values: pixels.values)
    }

    /// The valid part of a level by sampling the image's mask to the level's size, nearest neighbour.
    ///
    /// - Source: `F.interpolate(mask, size)` in `models/backbone.py` of fundamentalvision/Deformable-DETR.
    func nearestValidSize(of image: Int, at size: ValidSize) -> ValidSize {
        func validCount(_ extent: Int, of valid: Int, in padded: Int) -> Int {
            let step = Float(padded) / Float(extent)
            return (0..<extent).count { Int(Float($0) * step) < valid }
        }
        let valid = pixels.validSizes[image]
        return ValidSize(
            height: validCount(size.height, of: valid.height, in: pixels.height),
            width: validCount(size.width, of: valid.width, in: pixels.width))
    }
}
