import Boxes
import DeformDETR
import Foundation
import Images
import Tensors

/// Makes a different picture of the same objects each time: mirrored, cut, resized to one of the network's sizes, recoloured.
///
/// - Source: `make_coco_transforms("train")` in `datasets/coco.py` and `datasets/transforms.py` of
///   fundamentalvision/Deformable-DETR, which ``published(shorterSide:longestSide:)`` follows. There a cut image is resized twice; here its cut
///   is first moved to whole pixels of the original, and resized once. Sizes are distributed alike.
public struct Augmentation: Sendable, Hashable {
    /// A part of the image, cut out after the image was brought to another size; lengths in pixels of that size.
    public struct Crop: Sendable, Hashable {
        /// The chance of a cut, 0...1; otherwise the image stays whole.
        public var probability: Double
        /// To one of these is the image's shorter side brought before the cut.
        public var shorterSides: [Int]
        /// Width and height of the part, drawn one by one; at most the image's.
        public var sides: ClosedRange<Int>

        /// - Precondition: the chance lies in 0...1, and there are lengths, all positive.
        public init(probability: Double, shorterSides: [Int], sides: ClosedRange<Int>) {
            precondition((0...1).contains(probability), "a chance of \(probability)")
            precondition(!shorterSides.isEmpty && shorterSides.allSatisfy { $0 > 0 }, "shorter sides \(shorterSides)")
            precondition(sides.lowerBound > 0, "sides \(sides)")
            self.probability = probability
            self.shorterSides = shorterSides
            self.sides = sides
        }
    }

    /// How much of the image is seen.
    public enum Framing: Sendable, Hashable {
        /// All of it.
        case whole
        /// Sometimes a part, of another aspect.
        case cropped(Crop)
        /// Objects grow by a factor from this range, all magnitudes equally likely: above 1 a part of the image's aspect is
        /// seen, below 1 there is grey around the image. The bounds are positive.
        case zoomed(ClosedRange<Double>)
    }

    /// The chance to be mirrored left to right, 0...1.
    public var horizontalFlip: Double
    /// The chance to be mirrored top to bottom, 0...1: for objects without an up.
    public var verticalFlip: Double
    /// The chance to be turned by 90 degrees, to either side, 0...1: for objects without an up.
    public var quarterTurn: Double
    /// How much of the image is seen.
    public var framing: Framing
    /// The result's shorter side is one of these, in pixels.
    public var shorterSides: [Int]
    /// The limit of its longer side, in pixels, as in `Preprocessing`.
    public var longestSide: Int
    /// What happens to the colours; nil leaves them.
    public var colors: ColorJitter?
    /// An object of which less is seen, by area, is dropped, 0...1. 0 keeps whatever has an area, as published.
    public var minimumVisibleShare: Float

    /// Changes nothing but the size, unless told otherwise.
    ///
    /// - Precondition: chances and the share lie in 0...1; there are lengths, all positive; so are a zoom's bounds.
    public init(
        horizontalFlip: Double = 0, verticalFlip: Double = 0, quarterTurn: Double = 0, framing: Framing = .whole,
        shorterSides: [Int], longestSide: Int, colors: ColorJitter? = nil, minimumVisibleShare: Float = 0
    ) {
        let chances = [horizontalFlip, verticalFlip, quarterTurn, Double(minimumVisibleShare)]
        precondition(chances.allSatisfy { (0...1).contains($0) }, "chances \(chances)")
        precondition(!shorterSides.isEmpty && shorterSides.allSatisfy { $0 > 0 }, "shorter sides \(shorterSides)")
        precondition(longestSide > 0, "a longest side of \(longestSide)")
        if case .zoomed(let factors) = framing {
            precondition(factors.lowerBound > 0 && factors.upperBound.isFinite, "zoom in \(factors)")
        }
        self.horizontalFlip = horizontalFlip
        self.verticalFlip = verticalFlip
        self.quarterTurn = quarterTurn
        self.framing = framing
        self.shorterSides = shorterSides
        self.longestSide = longestSide
        self.colors = colors
        self.minimumVisibleShare = minimumVisibleShare
    }

    /// No more than the resize to the network's size, for validation.
    public static func resizing(_ preprocessing: Preprocessing) -> Augmentation {
        Augmentation(shorterSides: [preprocessing.shorterSide], longestSide: preprocessing.longestSide)
    }

    /// What the authors train with: mirrored half the time; half the time cut to 384...600 of a shorter side of 400, 500 or
    /// 600; then a shorter side of 480, 512, ... 800.
    ///
    /// - Parameters:
    ///   - shorterSide: of the network's images, in pixels: the largest of the shorter sides. All other lengths follow in
    ///     proportion.
    ///   - longestSide: the limit of the longer side, in pixels.
    /// - Precondition: both are positive.
    public static func published(shorterSide: Int = 800, longestSide: Int = 1333) -> Augmentation {
        precondition(shorterSide > 0 && longestSide > 0, "sizes \(shorterSide) and \(longestSide)")
        func scaled(_ length: Int) -> Int { max(1, Int((Double(length) * Double(shorterSide) / 800).rounded())) }
        return Augmentation(
            horizontalFlip: 0.5,
            framing: .cropped(
                Crop(
                    probability: 0.5, shorterSides: [400, 500, 600].map(scaled), sides: scaled(384)...scaled(600))),
            shorterSides: stride(from: 480, through: 800, by: 32).map(scaled), longestSide: longestSide)
    }

    /// Another picture of a sample.
    ///
    /// - Parameters:
    ///   - sample: any image with any boxes in its pixels.
    ///   - seed: decides everything: the same seed gives the same picture.
    /// - Returns: the picture at the network's size, and the objects that are seen in it, boxes cut to what is seen, in its
    ///   pixels. There may be none left. A box without area, or with a coordinate that is not a number, is dropped.
    public func callAsFunction(_ sample: LabelledImage, seed: UInt64) -> LabelledImage {
        var generator = SeededGenerator(seed: seed)
        let turn = turn(&generator)
        let frame = frame(width: sample.image.width, height: sample.image.height, &generator)
        var image = turn(frame(sample.image))
        if let colors { image = colors(image, using: &generator) }
        let window = frame.target.box
        let objects = sample.objects.compactMap { object -> LabelledImage.Object? in
            let box = frame.position(of: object.box)
            let seen = box.cut(to: window)
            guard seen.width > 0, seen.height > 0, seen.area >= minimumVisibleShare * box.area else { return nil }
            return LabelledImage.Object(
                classID: object.classID, box: turn.position(of: seen, width: frame.width, height: frame.height))
        }
        return LabelledImage(image: image, objects: objects, name: sample.name)
    }

    private func turn(_ generator: inout SeededGenerator) -> Turn {
        // A quarter clockwise, or the other way round.
        let swapsSides = generator.chance(quarterTurn)
        let isClockwise = generator.chance(0.5)
        let flips = (generator.chance(horizontalFlip), generator.chance(verticalFlip))
        return Turn(
            swapsSides: swapsSides, mirrorsColumns: flips.0 != (swapsSides && isClockwise),
            mirrorsRows: flips.1 != (swapsSides && !isClockwise))
    }

    /// What is seen of an image before it is turned: turning first would change nothing but the order of the draws.
    private func frame(width: Int, height: Int, _ generator: inout SeededGenerator) -> Frame {
        let preprocessing = Preprocessing(shorterSide: generator.pick(shorterSides), longestSide: longestSide)
        switch framing {
        case .cropped(let crop) where generator.chance(crop.probability):
            return frame(crop, width: width, height: height, preprocessing, &generator)
        case .zoomed(let factors):
            let factor = exp(generator.value(in: log(factors.lowerBound)...log(factors.upperBound)))
            return frame(zoom: factor, width: width, height: height, preprocessing, &generator)
        case .whole, .cropped:
            return Frame(of: PixelRectangle(width: width, height: height), preprocessing)
        }
    }

    private func frame(
        _ crop: Crop, width: Int, height: Int, _ preprocessing: Preprocessing, _ generator: inout SeededGenerator
    ) -> Frame {
        let resizing = Preprocessing(shorterSide: generator.pick(crop.shorterSides), longestSide: .max)
        let resized = resizing.size(forWidth: width, height: height)
        func length(_ available: Int) -> Int {
            generator.whole(in: min(crop.sides.lowerBound, available)...min(crop.sides.upperBound, available))
        }
        let size = (width: length(resized.width), height: length(resized.height))
        /// The same stretch of the original, in its whole pixels.
        func stretch(_ length: Int, of available: Int, original: Int) -> (start: Int, length: Int) {
            let start = generator.whole(in: 0...available - length)
            let scale = Double(original) / Double(available)
            let first = min(Int((Double(start) * scale).rounded()), original - 1)
            let end = min(Int((Double(start + length) * scale).rounded()), original)
            return (first, max(1, end - first))
        }
        let columns = stretch(size.width, of: resized.width, original: width)
        let rows = stretch(size.height, of: resized.height, original: height)
        let result = preprocessing.size(forWidth: size.width, height: size.height)
        return Frame(
            source: PixelRectangle(
                left: columns.start, top: rows.start, width: columns.length, height: rows.length),
            target: PixelRectangle(width: result.width, height: result.height), width: result.width,
            height: result.height)
    }

    private func frame(
        zoom factor: Double, width: Int, height: Int, _ preprocessing: Preprocessing,
        _ generator: inout SeededGenerator
    ) -> Frame {
        /// A smaller rectangle anywhere inside one of this size.
        func part(_ factor: Double, of width: Int, _ height: Int) -> PixelRectangle {
            let part = (
                width: min(width, max(1, Int((Double(width) * factor).rounded()))),
                height: min(height, max(1, Int((Double(height) * factor).rounded())))
            )
            return PixelRectangle(
                left: generator.whole(in: 0...width - part.width), top: generator.whole(in: 0...height - part.height),
                width: part.width, height: part.height)
        }
        guard factor < 1 else { return Frame(of: part(1 / factor, of: width, height), preprocessing) }
        var frame = Frame(of: PixelRectangle(width: width, height: height), preprocessing)
        frame.target = part(factor, of: frame.width, frame.height)
        return frame
    }
}

extension Frame {
    /// A part of an image, brought to the network's size.
    fileprivate init(of source: PixelRectangle, _ preprocessing: Preprocessing) {
        let size = preprocessing.size(forWidth: source.width, height: source.height)
        self.init(
            source: source, target: PixelRectangle(width: size.width, height: size.height), width: size.width,
            height: size.height)
    }
}

extension CornerBox {
    /// The part of the box inside another one.
    fileprivate func cut(to window: CornerBox) -> CornerBox {
        CornerBox(
            xMin: min(max(xMin, window.xMin), window.xMax), yMin: min(max(yMin, window.yMin), window.yMax),
            xMax: min(max(xMax, window.xMin), window.xMax), yMax: min(max(yMax, window.yMin), window.yMax))
    }
}
