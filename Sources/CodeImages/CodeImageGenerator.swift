import Boxes
import Images

/// A code that can be seen in an image.
public struct CodeAnnotation: Sendable, Equatable {
    public let kind: CodeKind
    /// The visible part of the symbol, without quiet zone and human-readable text: pixels of the image, inside it.
    public let box: CornerBox
    /// How much of the symbol is neither covered nor outside the image, 0...1.
    public let visibleShare: Float
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

    /// A code is annotated when at least this share of its area is visible…
    public static let minimumVisibleShare: Float = 0.3
    /// … and neither side of its box is below this many pixels.
    public static let minimumBoxSide: Float = 5
    /// Codes whose levels of 0...255 deviate less than this, after averaging over 3x3 pixels, are lost in darkness, glare
    /// or a copier's white, and are not annotated.
    public static let minimumDeviation: Float = 3

    public let seed: UInt64
    public let options: Options

    public init(seed: UInt64, options: Options = Options()) {
        self.seed = seed
        self.options = options
    }

    /// One image with all codes that are visible enough.
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
        let stretch = (Float(width) / Float(drawn.0), Float(height) / Float(drawn.1))
        let annotations = builder.scene.annotations(
            minimumShare: Self.minimumVisibleShare, minimumSide: Self.minimumBoxSide / min(stretch.0, stretch.1))
        let boxed = annotations.map { found in
            CodeAnnotation(
                kind: found.kind,
                box: found.box.scaled(width: stretch.0, height: stretch.1)
                    .clamped(width: Float(width), height: Float(height)),
                visibleShare: found.visibleShare, content: found.content)
        }
        return (image, boxed.filter { image.deviation(in: $0.box) >= Self.minimumDeviation })
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

extension Image {
    /// The standard deviation, over a box, of green levels averaged over 3x3 pixels; infinite where the box has no room for
    /// two averages.
    package func deviation(in box: CornerBox) -> Float {
        let columns = stride(from: max(0, Int(box.xMin)), to: min(width, Int(box.xMax)) - 2, by: 3)
        let rows = stride(from: max(0, Int(box.yMin)), to: min(height, Int(box.yMax)) - 2, by: 3)
        var (count, sum, squares): (Float, Float, Float) = (0, 0, 0)
        for row in rows {
            for column in columns {
                var total = 0
                for down in 0..<3 {
                    for right in 0..<3 { total += Int(pixels[((row + down) * width + column + right) * 3 + 1]) }
                }
                let mean = Float(total) / 9
                count += 1
                sum += mean
                squares += mean * mean
            }
        }
        guard count > 1 else { return .infinity }
        return max(0, squares / count - (sum / count) * (sum / count)).squareRoot()
    }
}
