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

/// How a line of text is set.
struct TextStyle {
    var color: Tone
    var opacity: Float = 1
    /// Thicker letters.
    var isBold = false
    /// Columns that a letter leans to the right for each row up.
    var slant: Float = 0
    /// Every letter this many ems wide; nil for the font's own widths.
    var pitch: Float?
}

extension Raster {
    /// Draws a line of text whose letters stand on `origin`, turned clockwise by `quarterTurns`.
    ///
    /// - Returns: its length in pixels.
    @discardableResult
    mutating func text(
        _ text: String, typeface: Typeface, origin: Point, style: TextStyle, quarterTurns: Int = 0
    ) -> Float {
        let right = Self.directions[quarterTurns & 3]
        let down = Self.directions[(quarterTurns + 1) & 3]
        let (originColumn, originRow) = (Int(origin.x), Int(origin.y))
        var length: Float = 0
        for (index, (glyph, pen)) in typeface.layout(text).enumerated() {
            let start = style.pitch.map { Int($0 * Float(typeface.pixelSize) * Float(index)) } ?? pen
            length = Float(start) + Float(glyph.advance) / 64
            for glyphRow in 0..<glyph.height {
                let offsetDown = glyphRow - glyph.top
                let lean = Int((-Float(offsetDown) * style.slant).rounded())
                for glyphColumn in 0..<glyph.width {
                    let coverage = glyph.coverage[glyphRow * glyph.width + glyphColumn]
                    guard coverage > 0 else { continue }
                    let offsetRight = start + glyph.left + glyphColumn + lean
                    for extra in 0...(style.isBold ? 1 + typeface.pixelSize / 24 : 0) {
                        let column = originColumn + (offsetRight + extra) * right.0 + offsetDown * down.0
                        let row = originRow + (offsetRight + extra) * right.1 + offsetDown * down.1
                        guard column >= 0, row >= 0, column < width, row < height else { continue }
                        blend(style.color, share: Float(coverage) / 255 * style.opacity, at: row * width + column)
                    }
                }
            }
        }
        return length
    }

    /// One step to the right, down, left, up.
    private static let directions = [(1, 0), (0, 1), (-1, 0), (0, -1)]
}
