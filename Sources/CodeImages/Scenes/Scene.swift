import Boxes
import Images

/// A picture in the making: what is seen, and which symbol each pixel shows.
struct Scene: Sendable {
    private(set) var raster: Raster
    /// `[height, width]`: 1 + the index of the symbol seen there; 0 for none.
    private var owners: [UInt16]
    /// Symbols in the order they came, with their outlines in the image.
    private var symbols: [(symbol: CodeSymbol, outline: [Point])] = []

    init(_ raster: Raster) {
        self.raster = raster
        owners = [UInt16](repeating: 0, count: raster.width * raster.height)
    }

    /// Changes colours without changing what is seen where.
    mutating func repaint(_ change: (inout Raster) -> Void) { change(&raster) }

    /// Puts a surface before everything that is already there.
    ///
    /// - Parameters:
    ///   - shadow: how dark its shadow is, 0...1.
    ///   - highlight: what it throws back of the light.
    mutating func add(
        _ surface: Surface, pose: Pose, shadow: Float, highlight: Highlight?, _ random: inout RandomSource
    ) {
        let area = surface.raster.area
        let outline = pose.outline(of: area)
        castShadow(of: outline, strength: shadow, &random)
        paintSides(of: surface, pose: pose)
        let firstOwner = UInt16(clamping: symbols.count + 1)
        for placed in surface.symbols { symbols.append((placed.symbol, pose.outline(of: placed.area))) }

        let brightness = shadow > 0 ? random.value(in: 0.75...1.08) : 1
        let bounds = Self.bounds(of: outline)
        let samples = Self.samples(pose: pose, area: area, bounds: bounds)
        let (columns, rows) = raster.span(bounds.expanded(by: 1))
        let areas = surface.symbols.map(\.area)
        let (width, glow, picture) = (raster.width, surface.glow, surface.raster)
        let isBent = pose.bend != nil || pose.crumple != nil
        raster.pixels.withUnsafeMutableBufferPointer { pixels in
            picture.pixels.withUnsafeBufferPointer { source in
                for row in rows {
                    let folds = pose.crumple.map { _ in Folds(pose, columns: columns, row: row) }
                    for column in columns {
                        let center = Point(Float(column) + 0.5, Float(row) + 0.5)
                        guard let flat = pose.flatPoint(center) else { continue }
                        let fold = folds?.at(column) ?? Fold()
                        let middle = flat + fold.shift
                        let distance = area.distance(to: middle)
                        guard distance < 1 else { continue }
                        var tone: Tone
                        if samples > 1 {
                            tone = .zero
                            for offset in Self.offsets {
                                let point = pose.flatPoint(center + offset) ?? flat
                                tone += Raster.sample(
                                    source, width: picture.width, height: picture.height, at: point + fold.shift)
                            }
                            tone *= 0.25
                        } else {
                            tone = Raster.sample(source, width: picture.width, height: picture.height, at: middle)
                        }
                        let share = tone.w * min(max(0.5 - distance, 0), 1)
                        guard share > 0 else { continue }
                        let shade = isBent ? pose.bendShade(at: flat) * fold.shade : 1
                        var seen = tone.scaled(shade * brightness)
                        if let highlight { seen += highlight.strength(at: center) }
                        if glow > 0 { seen = seen.mixed(with: tone, share: glow) }
                        let index = row * width + column
                        pixels[index].cover(with: seen, share: share)
                        if share > 0.5 {
                            var owner: UInt16 = 0
                            for index in areas.indices where areas[index].contains(middle) {
                                owner = firstOwner + UInt16(index)
                                break
                            }
                            owners[index] = owner
                        }
                    }
                }
            }
        }
    }

    private static let offsets: [Point] = [[-0.25, -0.25], [0.25, -0.25], [-0.25, 0.25], [0.25, 0.25]]

    /// One sample a pixel, or four where the surface is shrunk.
    private static func samples(pose: Pose, area: Area, bounds: Area) -> Int {
        let pixels = max(1, bounds.width * bounds.height)
        return area.width * area.height > pixels * 1.7 ? 4 : 1
    }

    static func bounds(of outline: [Point]) -> Area {
        var (low, high) = (Point(repeating: .infinity), Point(repeating: -.infinity))
        for point in outline { (low, high) = (pointwiseMin(low, point), pointwiseMax(high, point)) }
        return Area(left: low.x, top: low.y, width: high.x - low.x, height: high.y - low.y)
    }

    private mutating func castShadow(of outline: [Point], strength: Float, _ random: inout RandomSource) {
        guard strength > 0 else { return }
        let bounds = Self.bounds(of: outline)
        let size = min(bounds.width, bounds.height)
        let shift = direction(random.value(in: 0...6.3)) * size * random.value(in: 0.01...0.1)
        // Every fourth point keeps the outline's shape.
        let corners = stride(from: 0, to: outline.count, by: 4).map { outline[$0] + shift }
        raster.fillConvex(
            corners, color: { _ in .gray(0) }, opacity: strength, softness: size * random.logarithmic(in: 0.01...0.3))
    }

    /// The sides of a thick thing that face the camera.
    private mutating func paintSides(of surface: Surface, pose: Pose) {
        guard pose.backCorners.count == 4 else { return }
        let front = Pose.corners(of: [surface.raster.area.width, surface.raster.area.height]).map(pose.imagePoint)
        for side in 0..<4 {
            let next = (side + 1) % 4
            let corners = [front[side], front[next], pose.backCorners[next], pose.backCorners[side]]
            // Clockwise fronts turn their outer sides to the camera when these run counterclockwise.
            let diagonals = (corners[2] - corners[0], corners[3] - corners[1])
            let turning = diagonals.0.x * diagonals.1.y - diagonals.0.y * diagonals.1.x
            guard turning < 0 else { continue }
            let color = surface.ground.scaled([0.55, 0.7, 0.45, 0.62][side])
            raster.fillConvex(corners, color: { _ in color })
            cover(corners)
        }
    }

    /// Something opaque and convex now hides what was there.
    mutating func cover(_ corners: [Point]) {
        guard let polygon = ConvexPolygon(corners) else { return }
        let (columns, rows) = raster.span(polygon.bounds)
        for row in rows {
            for column in polygon.columns(at: Float(row) + 0.5, within: 0, among: columns) {
                owners[row * raster.width + column] = 0
            }
        }
    }

    /// Whether something between these bounds would hide a good part of a symbol that is already there.
    func wouldHideSymbol(_ bounds: Area) -> Bool {
        symbols.contains { _, outline in
            let other = Self.bounds(of: outline)
            let width = min(bounds.right, other.right) - max(bounds.left, other.left)
            let height = min(bounds.bottom, other.bottom) - max(bounds.top, other.top)
            return width > 0 && height > 0 && width * height > 0.1 * other.width * other.height
        }
    }

    /// A symbol of which something is seen.
    struct Sighting: Sendable {
        let symbol: CodeSymbol
        /// The visible part, in pixels of the scene, inside it.
        let box: CornerBox
        /// How much of its area, unclipped, is visible: 0...1.
        let visibleShare: Float
        /// How much of what is visible can still be told in the photograph: 0...1.
        let legibleShare: Float
    }

    /// Every symbol of which something is seen.
    ///
    /// - Parameter photograph: what the camera made of the scene, of the same size; without it, all can be told.
    func sightings(in photograph: Image? = nil) -> [Sighting] {
        var counts = [Int](repeating: 0, count: symbols.count)
        var extents = [PixelBounds](repeating: PixelBounds(), count: symbols.count)
        for row in 0..<raster.height {
            for column in 0..<raster.width {
                let owner = Int(owners[row * raster.width + column]) - 1
                guard owner >= 0 else { continue }
                counts[owner] += 1
                extents[owner].include(SIMD2(column, row))
            }
        }
        let legible = photograph.map {
            Legibility(of: raster, in: $0, owners: owners, extents: extents).shares
        }
        return symbols.indices.compactMap { index in
            let (symbol, outline) = symbols[index]
            let bounds = Self.bounds(of: outline)
            let (low, high) = (extents[index].low, extents[index].high)
            guard counts[index] > 0 else { return nil }
            // The outline is exact where the symbol ends, the pixels where something covers it.
            func meet(_ exact: Float, _ seen: Int) -> Float { abs(exact - Float(seen)) < 1.5 ? exact : Float(seen) }
            let box = CornerBox(
                xMin: meet(bounds.left, low.x), yMin: meet(bounds.top, low.y), xMax: meet(bounds.right, high.x),
                yMax: meet(bounds.bottom, high.y)
            ).clamped(width: raster.area.width, height: raster.area.height)
            return Sighting(
                symbol: symbol, box: box,
                visibleShare: min(1, Float(counts[index]) / max(Self.area(of: outline), 1)),
                legibleShare: legible?[index] ?? 1)
        }
    }

    /// The area within a closed outline, by the shoelace formula.
    private static func area(of outline: [Point]) -> Float {
        var sum: Float = 0
        for index in outline.indices {
            let (start, end) = (outline[index], outline[(index + 1) % outline.count])
            sum += start.x * end.y - start.y * end.x
        }
        return abs(sum) / 2
    }
}

/// Light that a surface throws back into the camera.
struct Highlight: Sendable {
    let center: Point
    /// One over its half axes.
    let frequency: Point
    let turn: Point
    let brightness: Float

    func strength(at point: Point) -> Tone {
        let offset = point - center
        let turned = Point((offset * turn).sum(), offset.y * turn.x - offset.x * turn.y) * frequency
        let fall = 1 / (1 + (turned * turned).sum())
        let value = brightness * fall * fall
        return Tone(value, value, value, 0)
    }
}
