import Images

/// The embedded font in the sizes that one image needs.
final class FontCase {
    private var typefaces: [Int: Typeface] = [:]

    /// The nearest of the sizes that are kept.
    subscript(size: Float) -> Typeface {
        let pixels = min(max(Int(size.rounded()), 4), 400)
        // Above 20 pixels every third size, so that an image does not open hundreds.
        let kept = pixels < 20 ? pixels : pixels / 3 * 3
        if let known = typefaces[kept] { return known }
        let typeface = Typeface(pixelSize: kept)
        typefaces[kept] = typeface
        return typeface
    }
}

/// How a line of text is set: one typeface is made to look like many.
struct TextStyle {
    var color: Tone
    var opacity: Float = 1
    /// How much thicker letters are, in ems.
    var weight: Float = 0
    /// Columns that a letter leans to the right for each row up.
    var slant: Float = 0
    /// Every letter this many ems wide; nil for the font's own widths.
    var pitch: Float?
    /// Width relative to the font's.
    var stretch: Float = 1
    /// Added between letters, in ems.
    var spacing: Float = 0
    /// How far feet reach out at the top and the bottom of strokes, in ems; 0 for none.
    var serif: Float = 0
    /// The distance of the dots that letters are made of, in ems, as from needle and ink-jet printers; nil for whole ones.
    var dotPitch: Float?

    init(color: Tone) { self.color = color }

    /// Any look.
    init(color: Tone, _ random: inout RandomSource) {
        self.color = color
        if random.chance(0.45) { weight = random.value(in: 0.02...0.12) }
        if random.chance(0.15) { slant = random.value(in: 0.1...0.3) }
        if random.chance(0.2) { pitch = random.value(in: 0.58...0.75) }
        if random.chance(0.6) { stretch = random.logarithmic(in: 0.6...1.3) }
        if random.chance(0.25) { spacing = random.value(in: -0.03...0.2) }
        if random.chance(0.35) { serif = random.value(in: 0.04...0.11) }
        if random.chance(0.05) { dotPitch = random.value(in: 0.07...0.12) }
    }

    /// Where each letter's pen stands, and where it stands after the last, in pixels.
    func pens(_ letters: [(glyph: Typeface.Glyph, pen: Int)], pixelSize: Int) -> [Float] {
        let size = Float(pixelSize)
        let end = letters.last.map { Float($0.pen) + Float($0.glyph.advance) / 64 } ?? 0
        return (0...letters.count).map { index in
            if let pitch { return pitch * size * Float(index) }
            let natural = index < letters.count ? Float(letters[index].pen) : end
            return natural * stretch + Float(index) * spacing * size
        }
    }
}

extension Raster {
    /// Draws a line of text whose letters stand on `origin`, turned clockwise by `quarterTurns`.
    mutating func text(
        _ text: String, typeface: Typeface, origin: Point, style: TextStyle, quarterTurns: Int = 0
    ) {
        let right = Self.directions[quarterTurns & 3]
        let down = Self.directions[(quarterTurns + 1) & 3]
        let (originColumn, originRow) = (Int(origin.x), Int(origin.y))
        let letters = typeface.layout(text)
        let pens = style.pens(letters, pixelSize: typeface.pixelSize)
        let size = Float(typeface.pixelSize)
        let copies = Int((style.weight * size).rounded())
        let dot = style.dotPitch.map { max(2, $0 * size) }
        for (index, (glyph, _)) in letters.enumerated() where glyph.width > 0 {
            let shape = LetterShape(glyph, style: style, size: size)
            let start = Int(pens[index]) + shape.left
            for shapeRow in 0..<shape.height {
                let offsetDown = shapeRow - glyph.top
                let lean = Int((-Float(offsetDown) * style.slant).rounded())
                for shapeColumn in 0..<(shape.width + copies) {
                    // Thick letters are the darkest of a few shifted by a pixel each.
                    var coverage: Float = 0
                    for copy in 0...copies where shapeColumn >= copy && shapeColumn - copy < shape.width {
                        coverage = max(coverage, shape.coverage[shapeRow * shape.width + shapeColumn - copy])
                    }
                    let offsetRight = start + shapeColumn + lean
                    if let dot { coverage *= Self.dotShare(Float(offsetRight) / dot, Float(offsetDown) / dot) }
                    let column = originColumn + offsetRight * right.0 + offsetDown * down.0
                    let row = originRow + offsetRight * right.1 + offsetDown * down.1
                    guard coverage > 0, column >= 0, row >= 0, column < width, row < height else { continue }
                    blend(style.color, share: coverage * style.opacity, at: row * width + column)
                }
            }
        }
    }

    /// How much of a raster of dots is dark at a place, given in dots.
    private static func dotShare(_ horizontal: Float, _ vertical: Float) -> Float {
        let offset = Point(horizontal - horizontal.rounded(.down), vertical - vertical.rounded(.down)) - 0.5
        return min(max((0.55 - (offset * offset).sum().squareRoot()) * 4, 0), 1)
    }

    /// One step to the right, down, left, up.
    private static let directions = [(1, 0), (0, 1), (-1, 0), (0, -1)]
}

/// A glyph as a style draws it.
private struct LetterShape {
    let width: Int
    let height: Int
    let left: Int
    /// `[height, width]`, 0...1.
    let coverage: [Float]

    init(_ glyph: Typeface.Glyph, style: TextStyle, size: Float) {
        let reach = Int((style.serif * size).rounded())
        let stretched = max(1, Int((Float(glyph.width) * style.stretch).rounded()))
        (width, height) = (stretched + 2 * reach, glyph.height)
        left = Int((Float(glyph.left) * style.stretch).rounded()) - reach
        var coverage = [Float](repeating: 0, count: width * height)
        let step = Float(glyph.width) / Float(stretched)
        // Serifs are as thick as hairlines.
        let foot = reach > 0 ? max(1, Int(size * 0.06)) : 0
        for row in 0..<height {
            for column in 0..<stretched {
                let place = min(max((Float(column) + 0.5) * step - 0.5, 0), Float(glyph.width - 1))
                let first = Int(place)
                let second = min(first + 1, glyph.width - 1)
                let (before, after) = (
                    Float(glyph.coverage[row * glyph.width + first]), Float(glyph.coverage[row * glyph.width + second])
                )
                let share = (before + (after - before) * (place - Float(first))) / 255
                let isFoot = row < foot || row >= height - foot
                let spread = isFoot ? reach : 0
                for target in (column + reach - spread)...(column + reach + spread) {
                    coverage[row * width + target] = max(coverage[row * width + target], share)
                }
            }
        }
        self.coverage = coverage
    }
}
