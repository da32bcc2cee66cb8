import CZint

extension Raster {
    /// Prints a symbol that fills `area`, turned clockwise by `quarterTurns`, without its patch.
    mutating func print(
        _ symbol: CodeSymbol, style: SymbolStyle, in area: Area, quarterTurns: Int, _ random: inout RandomSource
    ) {
        let inked = InkedSymbol(symbol, style: style, area: area, quarterTurns: quarterTurns, &random)
        // As many samples a pixel as its modules need.
        let samples = min(max(Int((3 / inked.modulePixels).rounded(.up)), 2), 5)
        let step = 1 / Float(samples)
        paint(in: area.expanded(by: 1)) { point in
            if inked.isAmidModule(point) {
                guard inked.isDark(at: point) else { return (.zero, 0) }
                return (inked.color(at: point), inked.strength(at: point))
            }
            var covered: Float = 0
            for vertical in 0..<samples {
                for horizontal in 0..<samples {
                    let offset = Point(Float(horizontal) + 0.5, Float(vertical) + 0.5) * step - 0.5
                    if inked.isDark(at: point + offset) { covered += 1 }
                }
            }
            guard covered > 0 else { return (.zero, 0) }
            return (inked.color(at: point), covered * step * step * inked.strength(at: point))
        }
        if style.logoShare > 0 { paintLogo(style, in: area, &random) }
    }

    private mutating func paintLogo(_ style: SymbolStyle, in area: Area, _ random: inout RandomSource) {
        let side = min(area.width, area.height) * style.logoShare
        let center = area.center
        let place = Area(left: center.x - side / 2, top: center.y - side / 2, width: side, height: side)
        fillRounded(place, radius: random.chance(0.5) ? side * 0.2 : 0, color: style.patch ?? .gray(1))
        let color = Tone.hue(random.unit(), saturation: random.value(in: 0.2...1), value: random.value(in: 0.3...1))
        if random.chance(0.5) {
            fillEllipse(place.expanded(by: -side * 0.1), color: color)
        } else {
            fillRounded(place.expanded(by: -side * 0.12), radius: side * 0.15, color: color)
        }
        fillEllipse(place.expanded(by: -side * random.value(in: 0.25...0.4)), color: style.patch ?? .gray(1))
    }
}

/// A symbol on its way to the paper: dark or light at any point.
private struct InkedSymbol {
    private let matrix: ModuleMatrix
    private let style: SymbolStyle
    private let area: Area
    private let quarterTurns: Int
    /// Modules to the pixel, across and down the unturned symbol.
    private let scale: Point
    /// Where each row begins, in modules, and where the last ends.
    private let rowStarts: [Float]
    private let hasEqualRows: Bool
    private let finderSides: Int
    private let wear: FractalNoise?
    /// Shifts of edges, across and down.
    private let rag: (across: NoiseField, down: NoiseField)?
    /// `[rows, columns]`: how far each module lies off its place; empty for none.
    private let shifts: [Point]
    private let light: Point
    /// Whether all of a module away from its edges has one colour.
    private let hasUniformModules: Bool
    /// How far from a module's edge a pixel's centre must be for that, in modules.
    private let margin: Point
    /// What the place is multiplied with to become a share of the way to the far ink, and what is then added.
    private let gradient: Point

    init(_ symbol: CodeSymbol, style: SymbolStyle, area: Area, quarterTurns: Int, _ random: inout RandomSource) {
        matrix = symbol.matrix
        self.style = style
        self.area = area
        self.quarterTurns = quarterTurns & 3
        let size = quarterTurns.isMultiple(of: 2) ? Point(area.width, area.height) : Point(area.height, area.width)
        scale = symbol.size / size
        var starts: [Float] = [0]
        for height in matrix.rowHeights { starts.append(starts[starts.count - 1] + height) }
        rowStarts = starts
        let heights = symbol.matrix.rowHeights
        hasEqualRows = heights.allSatisfy { $0 == heights[0] }
        let isPlain = if case .modules = style.finders { style.finderInk == nil } else { false }
        finderSides = !isPlain && symbol.kind == .qrCode && symbol.symbology == CZINT_QR ? 7 : 0
        let blot = max(2, min(area.width, area.height) * random.logarithmic(in: 0.03...0.5))
        let grain = Point(0.6, 0.6) / scale
        rag =
            style.raggedness > 0
            ? (NoiseField(wavelength: grain, &random), NoiseField(wavelength: grain, &random)) : nil
        let jitter = style.jitter
        shifts =
            jitter > 0
            ? (0..<matrix.rows * matrix.columns).map { _ in [random.normal() * jitter, random.normal() * jitter] } : []
        hasUniformModules = if case .square = style.shape { rag == nil && isPlain } else { false }
        // Half a pixel, and what the ink has grown.
        margin = [
            scale.max() / 2 + abs(style.growth.x),
            scale.max() / 2 + (matrix.rows > 1 ? abs(style.growth.y) * (matrix.rowHeights.max() ?? 1) : 0),
        ]
        light = style.relief > 0 ? direction(random.value(in: 0...6.3)) : .zero
        gradient = direction(style.farInk?.angle ?? 0) / max(area.width, area.height)
        wear = style.wear > 0 ? FractalNoise(wavelength: [blot, blot], octaves: 3, roughness: 0.7, &random) : nil
    }

    /// The smaller side of a module.
    var modulePixels: Float { 1 / max(scale.x, matrix.rows > 1 ? scale.y : 0) }

    func isDark(at point: Point) -> Bool {
        var place = modulePlace(point)
        if let rag { place += Point(rag.across(point), matrix.rows > 1 ? rag.down(point) : 0) * style.raggedness }
        guard place.x > -0.5, place.y >= 0, place.y < rowStarts[matrix.rows] else { return false }
        let column = Int(place.x.rounded(.down))
        let row = row(at: place.y)
        let horizontal = place.x - Float(column)
        let vertical = (place.y - rowStarts[row]) / matrix.rowHeights[row]
        if finderSides > 0, let center = finderCenter(column, row) {
            switch style.finders {
            case .modules: break
            case .square: return isInsideGrown(column, row, horizontal, vertical)
            case .round, .soft: return isInsideFinder(place - center)
            }
        }
        switch style.shape {
        case .dots(let radius):
            var offset = Point(horizontal - 0.5, vertical - 0.5)
            if !shifts.isEmpty, matrix.isDark(column, row) { offset -= shifts[row * matrix.columns + column] }
            return matrix.isDark(column, row) && (offset * offset).sum() < radius * radius
        case .apart(let gap):
            return matrix.isDark(column, row) && min(horizontal, 1 - horizontal) > gap
                && min(vertical, 1 - vertical) > gap
        case .rounded where matrix.isDark(column, row):
            return isInsideRounded(column, row, horizontal, vertical)
        default: return isInsideGrown(column, row, horizontal, vertical)
        }
    }

    private func row(at position: Float) -> Int {
        if hasEqualRows { return min(Int(position / matrix.rowHeights[0]), matrix.rows - 1) }
        var row = 0
        while row + 1 < matrix.rows, rowStarts[row + 1] <= position { row += 1 }
        return row
    }

    /// Whether the whole pixel around a point is of one colour because it lies away from its module's edges.
    @inline(__always)
    func isAmidModule(_ point: Point) -> Bool {
        guard hasUniformModules else { return false }
        let place = modulePlace(point)
        guard place.x > 0, place.y > 0, place.y < rowStarts[matrix.rows] else { return false }
        let column = place.x - Float(Int(place.x))
        let row = row(at: place.y)
        return min(column, 1 - column) > margin.x
            && min(place.y - rowStarts[row], rowStarts[row + 1] - place.y) > margin.y
    }

    /// A point of the picture in modules of the unturned symbol.
    private func modulePlace(_ point: Point) -> Point {
        let place = point - Point(area.left, area.top)
        switch quarterTurns {
        case 1: return Point(place.y, area.width - place.x) * scale
        case 2: return Point(area.width - place.x, area.height - place.y) * scale
        case 3: return Point(area.height - place.y, place.x) * scale
        default: return place * scale
        }
    }

    /// The middle of the finder that a module belongs to.
    private func finderCenter(_ column: Int, _ row: Int) -> Point? {
        let (isLeft, isTop) = (column < finderSides, row < finderSides)
        let (isRight, isBottom) = (column >= matrix.columns - finderSides, row >= matrix.rows - finderSides)
        guard (isLeft && isTop) || (isRight && isTop) || (isLeft && isBottom) else { return nil }
        return [isLeft ? 3.5 : Float(matrix.columns) - 3.5, isTop ? 3.5 : Float(matrix.rows) - 3.5]
    }

    /// A ring of 7 modules around a spot of 3, round or nearly square.
    private func isInsideFinder(_ offset: Point) -> Bool {
        let squared = offset * offset
        // The fourth power makes a square with round corners.
        let distance =
            if case .round = style.finders { squared.sum().squareRoot() } else {
                (squared * squared).sum().squareRoot().squareRoot()
            }
        return distance < 1.5 || (distance > 2.5 && distance < 3.5)
    }

    /// The ink at a point.
    func color(at point: Point) -> Tone {
        var color = style.ink
        if let far = style.farInk {
            let offset = point - area.center
            let share =
                far.isRadial
                ? (offset * offset).sum().squareRoot() * 1.6 / max(area.width, area.height)
                : (offset * gradient).sum() + 0.5
            color = color.mixed(with: far.color, share: min(max(share, 0), 1))
        }
        if finderSides > 0 || style.relief > 0 {
            let place = modulePlace(point)
            if let finderInk = style.finderInk, finderSides > 0,
                finderCenter(Int(place.x.rounded(.down)), Int(place.y.rounded(.down))) != nil
            {
                color = finderInk
            }
            if style.relief > 0 {
                let offset = place - place.rounded(.down) - 0.5
                color += Tone(repeating: (offset * light).sum() * style.relief) * Tone(1, 1, 1, 0)
            }
        }
        return color
    }

    /// Square modules with edges moved by the ink's growth.
    private func isInsideGrown(_ column: Int, _ row: Int, _ horizontal: Float, _ vertical: Float) -> Bool {
        let sideways = horizontal < 0.5 ? -1 : 1
        let upright = vertical < 0.5 ? -1 : 1
        let isNearSide = min(horizontal, 1 - horizontal) < abs(style.growth.x)
        let isNearEnd = min(vertical, 1 - vertical) < abs(style.growth.y)
        if matrix.isDark(column, row) {
            if style.growth.x < 0, isNearSide, !matrix.isDark(column + sideways, row) { return false }
            if style.growth.y < 0, isNearEnd, !matrix.isDark(column, row + upright) { return false }
            return true
        }
        if style.growth.x > 0, isNearSide, matrix.isDark(column + sideways, row) { return true }
        if style.growth.y > 0, isNearEnd, matrix.isDark(column, row + upright) { return true }
        return false
    }

    /// A dark module whose corners between two light neighbours are cut round.
    private func isInsideRounded(_ column: Int, _ row: Int, _ horizontal: Float, _ vertical: Float) -> Bool {
        let offset = Point(horizontal - 0.5, vertical - 0.5)
        let sideways = offset.x < 0 ? -1 : 1
        let upright = offset.y < 0 ? -1 : 1
        if matrix.isDark(column + sideways, row) || matrix.isDark(column, row + upright) { return true }
        return (offset * offset).sum() < 0.25
    }

    /// How much ink is left at a point, 0...1.
    func strength(at point: Point) -> Float {
        var strength = style.opacity
        if let wear {
            // Noise of several octaves lies mostly within -0.5...0.5.
            let kept = (wear(point) + 0.55 - style.wear * 0.6) * 5
            strength *= min(max(kept, 0.04), 1)
        }
        for line in style.missingLines {
            let position =
                line.isHorizontal ? (point.y - area.top) / area.height : (point.x - area.left) / area.width
            if abs(position - line.position) < line.width / 2 { strength *= 0.08 }
        }
        return strength
    }
}
