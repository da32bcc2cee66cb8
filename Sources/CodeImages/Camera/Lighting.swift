/// Light that falls unevenly on a scene: slopes, soft and hard shadows, the lens's dark corners.
struct Lighting: Sendable {
    private let slope: Point
    private let clouds: NoiseField?
    private let cloudStrength: Float
    private let edges: [(normal: Point, offset: Float, softness: Float, depth: Float)]
    private let bars: (field: NoiseField, depth: Float)?
    private let vignette: Float
    private let middle: Point
    private let size: Float

    init(width: Int, height: Int, _ random: inout RandomSource) {
        size = Float(max(width, height))
        middle = [Float(width) / 2, Float(height) / 2]
        slope = direction(random.value(in: 0...6.3)) * (random.chance(0.7) ? random.value(in: 0...0.9) : 0) / size
        let hasClouds = random.chance(0.35)
        clouds = hasClouds ? NoiseField(wavelength: size * random.logarithmic(in: 0.08...0.6), &random) : nil
        cloudStrength = random.value(in: 0.05...0.5)
        edges = (0..<(random.chance(0.2) ? random.whole(in: 1...2) : 0)).map { _ in
            let normal = direction(random.value(in: 0...6.3))
            let place = Point(random.unit() * Float(width), random.unit() * Float(height))
            return (
                normal, (normal * place).sum(), random.logarithmic(in: 0.004...0.3) * Float(max(width, height)),
                random.value(in: 0.15...0.6)
            )
        }
        if random.chance(0.06) {
            // Blinds, branches.
            let wavelength: Point =
                random.chance(0.5) ? [Float(width) * 3, Float(height) * 0.07] : [size * 0.06, size * 0.05]
            bars = (NoiseField(wavelength: wavelength, &random), random.value(in: 0.2...0.7))
        } else {
            bars = nil
        }
        vignette = random.chance(0.4) ? random.value(in: 0...0.5) : 0
    }

    /// A factor of the brightness at a point of the image.
    private func brightness(at point: Point) -> Float {
        let offset = point - middle
        var value = max(0.15, 1 + (offset * slope).sum())
        if let clouds { value *= 1 + cloudStrength * clouds(point) }
        for edge in edges {
            let share = min(max(((point * edge.normal).sum() - edge.offset) / edge.softness + 0.5, 0), 1)
            value *= 1 - edge.depth * share
        }
        if let bars { value *= 1 - bars.depth * min(max(bars.field(point) * 4, 0), 1) }
        return value * (1 - vignette * (offset * offset).sum() * 2 / (size * size))
    }

    /// Lights a picture. Brightness is computed on every eighth pixel and interpolated between.
    func apply(to raster: inout Raster) {
        let step = 8
        let columns = (raster.width + step - 1) / step + 1
        let rows = (raster.height + step - 1) / step + 1
        let grid = (0..<rows * columns).map { index in
            brightness(at: Point(Float(index % columns * step), Float(index / columns * step)))
        }
        let (width, height) = (raster.width, raster.height)
        raster.pixels.withUnsafeMutableBufferPointer { pixels in
            for row in 0..<height {
                let (gridRow, shareDown) = (row / step, Float(row % step) / Float(step))
                // The grid's line at this height.
                let line = (0..<columns).map { column in
                    let (upper, lower) = (grid[gridRow * columns + column], grid[(gridRow + 1) * columns + column])
                    return upper + (lower - upper) * shareDown
                }
                for column in 0..<width {
                    let (left, shareRight) = (column / step, Float(column % step) / Float(step))
                    pixels[row * width + column] *= line[left] + (line[left + 1] - line[left]) * shareRight
                }
            }
        }
    }
}
