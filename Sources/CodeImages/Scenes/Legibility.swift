import Images

/// How much of each symbol can still be told in a photograph, whatever darkness, glare, blur, noise or a copier's threshold
/// did to it.
///
/// Scene and photograph are averaged over cells of 3x3 pixels, and each symbol is cut into square blocks. A block can be told
/// where the photograph's cells still follow the scene's: where their covariance, over the scene's deviation, is a visible
/// number of levels, and where noise does not drown it.
struct Legibility: Sendable {
    /// Of each symbol's visible pixels, the share that lies in blocks that can be told: 0...1.
    let shares: [Float]

    /// The smallest deviation in the photograph, in levels of 0...255, that comes from what is printed.
    private static let minimumSignal: Float = 3
    /// The smallest correlation of photograph and scene.
    private static let minimumCorrelation: Float = 0.35
    /// Pixels of a cell's side.
    private static let cell = 3
    /// Cells of a block's side, at least.
    private static let minimumBlock = 4

    /// - Parameters:
    ///   - scene: what the camera saw.
    ///   - photograph: what it made of that, of the same size.
    ///   - owners: of each pixel, 1 + the index of the symbol that it shows; 0 for none.
    ///   - extents: of each symbol, where its pixels lie.
    init(of scene: Raster, in photograph: Image, owners: [UInt16], extents: [PixelBounds]) {
        var grids = extents.map(Grid.init)
        let (width, cell) = (scene.width, Self.cell)
        for row in stride(from: 0, to: scene.height - cell + 1, by: cell) {
            for column in stride(from: 0, to: width - cell + 1, by: cell) {
                let owner = Int(owners[(row + cell / 2) * width + column + cell / 2]) - 1
                guard owner >= 0 else { continue }
                var (printed, seen): (Float, Int) = (0, 0)
                for line in row..<row + cell {
                    for index in line * width + column..<line * width + column + cell {
                        printed += scene.pixels[index].luminance
                        seen += Int(photograph.pixels[3 * index + 1])
                    }
                }
                let pixels = Float(cell * cell)
                grids[owner].add(
                    printed: printed * 255 / pixels, seen: Float(seen) / pixels, at: SIMD2(column, row))
            }
        }
        shares = grids.map(\.legibleShare)
    }

    /// The blocks of a symbol.
    private struct Grid {
        private let origin: SIMD2<Int>
        /// Pixels of a block's side: a third of the symbol's shorter side.
        private let side: Int
        private let columns: Int
        private var blocks: [Block]

        init(_ extent: PixelBounds) {
            origin = extent.low
            let size = pointwiseMax(extent.high &- extent.low, SIMD2(repeating: 1))
            side = max(Legibility.cell * Legibility.minimumBlock, size.min() / 3)
            let counts = (size &+ (side - 1)) / SIMD2(repeating: side)
            columns = counts.x
            blocks = Array(repeating: Block(), count: extent.isEmpty ? 0 : counts.x * counts.y)
        }

        mutating func add(printed: Float, seen: Float, at place: SIMD2<Int>) {
            let block = pointwiseMax(place &- origin, .zero) / SIMD2(repeating: side)
            blocks[block.y * columns + block.x].add(printed, seen)
        }

        var legibleShare: Float {
            let total = blocks.reduce(0) { $0 + $1.count }
            return total == 0 ? 0 : blocks.reduce(0) { $0 + ($1.isLegible ? $1.count : 0) } / total
        }
    }

    /// Sums over the cells of a block.
    private struct Block {
        private(set) var count: Float = 0
        private var sums = SIMD2<Float>.zero
        private var squares = SIMD2<Float>.zero
        private var products: Float = 0

        mutating func add(_ printed: Float, _ seen: Float) {
            // About the middle level, so that little is lost in the differences below.
            let pair = SIMD2(printed, seen) - 128
            count += 1
            sums += pair
            squares += pair * pair
            products += pair.x * pair.y
        }

        var isLegible: Bool {
            guard count > 0 else { return false }
            let means = sums / count
            let variances = squares / count - means * means
            let covariance = products / count - means.x * means.y
            guard variances.x > 0, variances.y > 0, covariance > 0 else { return false }
            return covariance >= Legibility.minimumSignal * variances.x.squareRoot()
                && covariance >= Legibility.minimumCorrelation * (variances.x * variances.y).squareRoot()
        }
    }
}

/// The smallest rectangle that holds some pixels.
struct PixelBounds: Sendable, Equatable {
    /// The first column and row.
    private(set) var low = SIMD2<Int>(repeating: .max)
    /// One past the last column and row.
    private(set) var high = SIMD2<Int>(repeating: 0)

    var isEmpty: Bool { high.x == 0 }

    mutating func include(_ pixel: SIMD2<Int>) {
        low = pointwiseMin(low, pixel)
        high = pointwiseMax(high, pixel &+ 1)
    }
}
