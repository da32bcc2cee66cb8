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
            var covered: Float = 0
            for vertical in 0..<samples {
                for horizontal in 0..<samples {
                    let offset = Point(Float(horizontal) + 0.5, Float(vertical) + 0.5) * step - 0.5
                    if inked.isDark(at: point + offset) { covered += 1 }
                }
            }
            guard covered > 0 else { return (.zero, 0) }
            return (style.ink, covered * step * step * inked.strength(at: point))
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
        finderSides = style.keepsFinders && symbol.kind == .qrCode ? 7 : 0
        let blot = max(2, min(area.width, area.height) * random.logarithmic(in: 0.03...0.5))
        wear = style.wear > 0 ? FractalNoise(wavelength: [blot, blot], octaves: 3, roughness: 0.7, &random) : nil
    }

    /// The smaller side of a module.
    var modulePixels: Float { 1 / max(scale.x, matrix.rows > 1 ? scale.y : 0) }

    func isDark(at point: Point) -> Bool {
        var place = (point - Point(area.left, area.top))
        switch quarterTurns {
        case 1: place = [place.y, area.width - place.x]
        case 2: place = [area.width - place.x, area.height - place.y]
        case 3: place = [area.height - place.y, place.x]
        default: break
        }
        place *= scale
        guard place.x > -0.5, place.y >= 0, place.y < rowStarts[matrix.rows] else { return false }
        let column = Int(place.x.rounded(.down))
        let row = row(at: place.y)
        let horizontal = place.x - Float(column)
        let vertical = (place.y - rowStarts[row]) / matrix.rowHeights[row]
        switch style.shape {
        case .dots(let radius) where !isFinder(column, row):
            let offset = Point(horizontal - 0.5, vertical - 0.5)
            return matrix.isDark(column, row) && (offset * offset).sum() < radius * radius
        case .rounded where !isFinder(column, row) && matrix.isDark(column, row):
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

    private func isFinder(_ column: Int, _ row: Int) -> Bool {
        guard finderSides > 0 else { return false }
        let (isLeft, isTop) = (column < finderSides, row < finderSides)
        let (isRight, isBottom) = (column >= matrix.columns - finderSides, row >= matrix.rows - finderSides)
        return (isLeft && isTop) || (isRight && isTop) || (isLeft && isBottom)
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
