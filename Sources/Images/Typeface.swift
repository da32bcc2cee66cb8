import CImageCodecs

/// The embedded font, DejaVu Sans, at one size: ASCII, Latin-1, Latin Extended-A, Greek and Cyrillic letters.
///
/// Letters that it lacks become the replacement box. Text runs from left to right, a character a glyph.
package final class Typeface {
    /// One rendered character.
    package struct Glyph {
        /// `[height, width]`, 0...255.
        package let coverage: [UInt8]
        package let width: Int
        package let height: Int
        /// From the pen to the left column, in pixels.
        package let left: Int
        /// From the baseline up to the top row, in pixels.
        package let top: Int
        /// How far the pen moves, in 1/64 pixel.
        package let advance: Int
    }

    package let pixelSize: Int
    private let font: OpaquePointer?
    private var glyphs: [UnicodeScalar: Glyph] = [:]

    /// - Parameter pixelSize: pixels to the em, brought into 4...1000.
    package init(pixelSize: Int) {
        self.pixelSize = min(max(pixelSize, 4), 1000)
        // Without memory for the font, letters are blank.
        font = cimage_font_open(UInt32(self.pixelSize))
    }

    deinit { cimage_font_close(font) }

    /// The height of a capital letter, in pixels.
    package var capitalHeight: Int { (pixelSize * 729 + 500) / 1000 }

    /// The width of a line of text, in pixels.
    package func width(of text: String) -> Int {
        (text.unicodeScalars.reduce(0) { $0 + glyph(for: $1).advance } + 63) / 64
    }

    /// The text, or as much of its beginning as fits in `width` pixels with an ellipsis; empty where not even a letter fits.
    package func fitted(_ text: String, width: Int) -> String {
        guard self.width(of: text) > width else { return text }
        let ellipsis = "\u{2026}"
        var text = text
        while !text.isEmpty, self.width(of: text + ellipsis) > width { text.removeLast() }
        return text.isEmpty ? "" : text + ellipsis
    }

    /// Each glyph of a line of text, with where its pen stands in pixels from the line's start.
    package func layout(_ text: String) -> [(glyph: Glyph, pen: Int)] {
        var pen = 0
        return text.unicodeScalars.map { scalar in
            let glyph = glyph(for: scalar)
            defer { pen += glyph.advance }
            return (glyph, (pen + 32) / 64)
        }
    }

    private func glyph(for scalar: UnicodeScalar) -> Glyph {
        if let known = glyphs[scalar] { return known }
        let glyph = render(scalar)
        glyphs[scalar] = glyph
        return glyph
    }

    private func render(_ scalar: UnicodeScalar) -> Glyph {
        var rendered = CImageGlyph()
        guard let font, cimage_font_glyph(font, scalar.value, &rendered) else {
            return Glyph(coverage: [], width: 0, height: 0, left: 0, top: 0, advance: 0)
        }
        let (width, height, rowStep) = (Int(rendered.width), Int(rendered.height), Int(rendered.stride))
        var coverage: [UInt8] = []
        if let start = rendered.coverage {
            // FreeType keeps `height` rows of `rowStep` bytes until the next glyph.
            let rows = UnsafeBufferPointer(start: start, count: rowStep * height)
            for row in 0..<height { coverage.append(contentsOf: rows[(row * rowStep)..<(row * rowStep + width)]) }
        }
        return Glyph(
            coverage: coverage, width: coverage.isEmpty ? 0 : width, height: coverage.isEmpty ? 0 : height,
            left: Int(rendered.left), top: Int(rendered.top), advance: Int(rendered.advance))
    }
}
