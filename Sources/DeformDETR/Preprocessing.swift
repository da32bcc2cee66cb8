import Images
import Tensors

/// How images are brought to the network's size: the shorter side to a fixed length, the longer one limited.
///
/// - Source: `get_size_with_aspect_ratio` in `datasets/transforms.py` of fundamentalvision/Deformable-DETR.
public struct Preprocessing: Sendable, Hashable {
    /// The shorter side after resizing, in pixels.
    public var shorterSide: Int
    /// The longer side is at most this, in pixels, but for rounding; an image so narrow that its shorter side would vanish
    /// keeps one pixel there, and then its longer side may be more.
    public var longestSide: Int

    /// - Precondition: both are positive.
    public init(shorterSide: Int = 800, longestSide: Int = 1333) {
        precondition(shorterSide > 0 && longestSide > 0, "sizes \(shorterSide) and \(longestSide)")
        self.shorterSide = shorterSide
        self.longestSide = longestSide
    }

    /// Pixels that the network sees of a photo with sides of 4 to 3.
    package var usualArea: Int {
        let size = size(forWidth: 4000, height: 3000)
        return size.width * size.height
    }

    /// Sides that a model's file may ask for, in pixels.
    static let sides = 32...8192

    /// The network's size for an image: if the longer side would exceed its limit, the shorter one is rounded down to fit
    /// (half to even, as Python rounds); the longer side follows, cut to whole pixels. Never below one pixel.
    public func size(forWidth width: Int, height: Int) -> (width: Int, height: Int) {
        let shorter = Double(min(width, height))
        let longer = Double(max(width, height))
        var side = shorterSide
        if longer / shorter * Double(shorterSide) > Double(longestSide) {
            side = max(1, Int((Double(longestSide) * shorter / longer).rounded(.toNearestOrEven)))
        }
        if min(width, height) == side { return (width, height) }
        let other = max(1, Int(Double(side) * longer / shorter))
        return width < height ? (side, other) : (other, side)
    }

    /// Resized, and normalised by ImageNet's mean and deviation: `[1, H, W, 3]`.
    public func callAsFunction(_ image: Image) -> Tensor {
        let size = size(forWidth: image.width, height: image.height)
        return image.resized(width: size.width, height: size.height).normalized()
    }
}
