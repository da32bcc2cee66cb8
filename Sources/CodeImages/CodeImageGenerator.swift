import Boxes
import Images

/// A code that can be seen in an image.
public struct CodeAnnotation: Sendable, Equatable {
    public let kind: CodeKind
    /// The visible part of the symbol, without quiet zone and human-readable text: pixels of the image, inside it.
    public let box: CornerBox
    /// How much of the symbol is neither covered, nor outside the image, nor lost in darkness, glare, blur, noise or a
    /// copier's black and white: 0...1.
    public let visibleShare: Float
    /// Whether too little of the symbol is visible, or it is too small, to demand that a detector finds it: it counts
    /// neither for nor against one, as a crowd of COCO does.
    public let isIgnored: Bool
    /// What the symbol says, as it was given to the encoder.
    public let content: String
}

/// Makes photographs of machine-readable codes, with the truth about them, without end.
///
/// An image is decided by seed and number alone: any thread may draw any number in any order.
public struct CodeImageGenerator: Sendable {
    /// What images are made.
    public struct Options: Sendable, Equatable {
        /// The longer side, in pixels.
        public var longerSide: ClosedRange<Int>
        /// Share of images in which nothing is a code.
        public var emptyShare: Float

        /// - Precondition: sides of 64...4,096 pixels, a share in 0...1.
        public init(longerSide: ClosedRange<Int> = 320...1000, emptyShare: Float = 0.07) {
            precondition(longerSide.lowerBound >= 64 && longerSide.upperBound <= 4096, "sides of \(longerSide) pixels")
            precondition((0...1).contains(emptyShare), "a share of \(emptyShare)")
            self.longerSide = longerSide
            self.emptyShare = emptyShare
        }
    }

    /// A detector should find a code when at least this share of its area is visible…
    public static let minimumVisibleShare: Float = 0.3
    /// … and neither side of its box is below so many pixels…
    public static let minimumShorterSide: Float = 8
    /// … nor the longer one below so many: of the image or, where that was enlarged, of what was enlarged.
    public static let minimumLongerSide: Float = 20

    public let seed: UInt64
    public let options: Options

    public init(seed: UInt64, options: Options = Options()) {
        self.seed = seed
        self.options = options
    }

    /// One image with all codes that are visible; those that are hardly so are to be ignored.
    ///
    /// - Throws: ``SymbolError`` or `ImageError` when memory is short.
    public func image(_ number: Int) throws -> (image: Image, annotations: [CodeAnnotation]) {
        var random = RandomSource(seed: seed, stream: UInt64(bitPattern: Int64(number)))
        let (width, height) = size(&random)
        // Some cameras take more pixels than they keep, some fewer than they give out.
        let scales: [(ClosedRange<Float>, Float)] = [(1...1, 68), (0.5...0.95, 12), (0.22...0.5, 8), (1.05...1.4, 12)]
        let scale = random.value(in: random.pick(weighted: scales))
        let drawn = (max(32, Int(Float(width) * scale)), max(32, Int(Float(height) * scale)))
        var builder = SceneBuilder(width: drawn.0, height: drawn.1)
        try builder.build(isEmpty: random.chance(options.emptyShare), &random)
        let camera = Camera(builder.medium, moduleSide: builder.moduleSide, &random)
        let image = try camera.photograph(builder.scene.raster, outputWidth: width, outputHeight: height)
        let stretch = SIMD2(Float(width) / Float(drawn.0), Float(height) / Float(drawn.1))
        let seen = width == drawn.0 && height == drawn.1 ? image : image.resized(width: drawn.0, height: drawn.1)
        let annotations = builder.scene.sightings(in: seen).map { sighting in
            let box = sighting.box.scaled(width: stretch.x, height: stretch.y)
                .clamped(width: Float(width), height: Float(height))
            let detail = 1 / max(stretch.max(), 1)
            let share = sighting.visibleShare * sighting.legibleShare
            return CodeAnnotation(
                kind: sighting.symbol.kind, box: box, visibleShare: share,
                isIgnored: share < Self.minimumVisibleShare
                    || min(box.width, box.height) * detail < Self.minimumShorterSide
                    || max(box.width, box.height) * detail < Self.minimumLongerSide,
                content: sighting.symbol.content)
        }
        return (image, annotations)
    }

    private func size(_ random: inout RandomSource) -> (width: Int, height: Int) {
        let longer = Int(
            random.logarithmic(in: Float(options.longerSide.lowerBound)...Float(options.longerSide.upperBound)))
        let common: [Float] = [4.0 / 3, 4.0 / 3, 1.5, 16.0 / 9, 1]
        let aspect = random.chance(0.7) ? random.pick(common) : random.logarithmic(in: 1...2.6)
        let shorter = max(48, Int(Float(longer) / aspect))
        return random.chance(0.5) ? (longer, shorter) : (shorter, longer)
    }
}
