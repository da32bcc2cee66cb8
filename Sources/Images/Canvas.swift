/// A colour of 8-bit red, green and blue.
package struct Color: Sendable, Hashable {
    package var red: UInt8
    package var green: UInt8
    package var blue: UInt8

    package init(red: UInt8, green: UInt8, blue: UInt8) {
        self.red = red
        self.green = green
        self.blue = blue
    }

    /// From 0xRRGGBB.
    package init(_ code: UInt32) {
        self.init(
            red: UInt8(truncatingIfNeeded: code >> 16), green: UInt8(truncatingIfNeeded: code >> 8),
            blue: UInt8(truncatingIfNeeded: code))
    }

    package static let black = Color(0x000000)
    package static let white = Color(0xFFFFFF)

    /// How bright the colour looks, 0...1.
    /// - Source: ITU-R BT.601 luma.
    package var luminance: Float {
        (0.299 * Float(red) + 0.587 * Float(green) + 0.114 * Float(blue)) / 255
    }

    /// The colour `share` of the way to another.
    package func mixed(with other: Color, share: Float) -> Color {
        func mix(_ from: UInt8, _ to: UInt8) -> UInt8 {
            UInt8(clamping: Int((Float(from) + (Float(to) - Float(from)) * share).rounded()))
        }
        return Color(
            red: mix(red, other.red), green: mix(green, other.green), blue: mix(blue, other.blue))
    }
}

/// Whole pixels from `left` to before `right`, and `top` to before `bottom`.
package struct PixelRectangle: Sendable, Hashable {
    package var left: Int
    package var top: Int
    package var right: Int
    package var bottom: Int

    package init(left: Int, top: Int, right: Int, bottom: Int) {
        self.left = left
        self.top = top
        self.right = right
        self.bottom = bottom
    }

    package func intersection(_ other: PixelRectangle) -> PixelRectangle? {
        let common = PixelRectangle(
            left: max(left, other.left), top: max(top, other.top), right: min(right, other.right),
            bottom: min(bottom, other.bottom))
        return common.left < common.right && common.top < common.bottom ? common : nil
    }
}

/// An image to draw on. Whatever lies outside is cut off; no coordinate, however large, does harm.
package struct Canvas {
    package let width: Int
    package let height: Int
    private var pixels: [UInt8]

    package init(_ image: Image) {
        width = image.width
        height = image.height
        pixels = image.pixels
    }

    package var image: Image { Image(width: width, height: height, pixels: pixels) }

    package var bounds: PixelRectangle { PixelRectangle(left: 0, top: 0, right: width, bottom: height) }

    package mutating func fillRectangle(_ rectangle: PixelRectangle, color: Color, opacity: Float = 1) {
        guard let visible = rectangle.intersection(bounds) else { return }
        for row in visible.top..<visible.bottom {
            for column in visible.left..<visible.right { blend(color, coverage: opacity, column: column, row: row) }
        }
    }

    /// A frame of `lineWidth` pixels just inside the rectangle.
    package mutating func strokeRectangle(
        _ rectangle: PixelRectangle, lineWidth: Int, color: Color, opacity: Float = 1
    ) {
        let horizontal = min(lineWidth, (rectangle.bottom - rectangle.top + 1) / 2)
        let vertical = min(lineWidth, (rectangle.right - rectangle.left + 1) / 2)
        var (top, bottom, left, right) = (rectangle, rectangle, rectangle, rectangle)
        top.bottom = rectangle.top + horizontal
        bottom.top = max(top.bottom, rectangle.bottom - horizontal)
        (left.top, left.bottom) = (top.bottom, bottom.top)
        (right.top, right.bottom) = (top.bottom, bottom.top)
        left.right = rectangle.left + vertical
        right.left = max(left.right, rectangle.right - vertical)
        for side in [top, bottom, left, right] { fillRectangle(side, color: color, opacity: opacity) }
    }

    /// An antialiased line with round ends, between pixel coordinates (pixel centres lie at halves).
    package mutating func line(
        from start: (x: Float, y: Float), to end: (x: Float, y: Float), width lineWidth: Float, color: Color,
        opacity: Float = 1
    ) {
        guard let startX = Self.tame(start.x), let startY = Self.tame(start.y), let endX = Self.tame(end.x),
            let endY = Self.tame(end.y), let radius = Self.tame(lineWidth / 2), radius > 0
        else { return }
        let (deltaX, deltaY) = (endX - startX, endY - startY)
        let squaredLength = deltaX * deltaX + deltaY * deltaY
        let reach = radius + 1
        for row in rows(from: min(startY, endY) - reach, to: max(startY, endY) + reach) {
            let y = Double(row) + 0.5
            // Only columns near the part of the line that is near this row.
            var (low, high) = (min(startX, endX), max(startX, endX))
            if abs(deltaY) > 1e-9 {
                let shares = [(y - reach - startY) / deltaY, (y + reach - startY) / deltaY].map { min(max($0, 0), 1) }
                let ends = shares.map { startX + $0 * deltaX }
                (low, high) = (min(ends[0], ends[1]), max(ends[0], ends[1]))
            }
            for column in columns(from: low - reach, to: high + reach) {
                let x = Double(column) + 0.5
                let along = squaredLength > 0 ? ((x - startX) * deltaX + (y - startY) * deltaY) / squaredLength : 0
                let nearest = min(max(along, 0), 1)
                let (offX, offY) = (x - startX - nearest * deltaX, y - startY - nearest * deltaY)
                let coverage = radius + 0.5 - (offX * offX + offY * offY).squareRoot()
                blend(color, coverage: Float(min(max(coverage, 0), 1)) * opacity, column: column, row: row)
            }
        }
    }

    /// An antialiased filled circle.
    package mutating func disc(center: (x: Float, y: Float), radius: Float, color: Color, opacity: Float = 1) {
        line(from: center, to: center, width: 2 * radius, color: color, opacity: opacity)
    }

    /// Antialiased text with its first letter's origin at `left` on the line `baseline`; `limits` cuts off what lies outside it.
    package mutating func text(
        _ text: String, typeface: Typeface, left: Int, baseline: Int, color: Color, limits: PixelRectangle
    ) {
        guard let limits = limits.intersection(bounds) else { return }
        for (glyph, pen) in typeface.layout(text) {
            let (glyphLeft, glyphTop) = (left + pen + glyph.left, baseline - glyph.top)
            let area = PixelRectangle(
                left: glyphLeft, top: glyphTop, right: glyphLeft + glyph.width, bottom: glyphTop + glyph.height)
            guard let visible = area.intersection(limits) else { continue }
            for row in visible.top..<visible.bottom {
                for column in visible.left..<visible.right {
                    let coverage = glyph.coverage[(row - glyphTop) * glyph.width + column - glyphLeft]
                    blend(color, coverage: Float(coverage) / 255, column: column, row: row)
                }
            }
        }
    }

    /// - Precondition: the pixel lies inside.
    private mutating func blend(_ color: Color, coverage: Float, column: Int, row: Int) {
        let start = (row * width + column) * 3
        if coverage >= 1 {
            pixels[start] = color.red
            pixels[start + 1] = color.green
            pixels[start + 2] = color.blue
        } else if coverage > 0 {
            let below = Color(red: pixels[start], green: pixels[start + 1], blue: pixels[start + 2])
            let mixed = below.mixed(with: color, share: coverage)
            pixels[start] = mixed.red
            pixels[start + 1] = mixed.green
            pixels[start + 2] = mixed.blue
        }
    }

    private func rows(from low: Double, to high: Double) -> Range<Int> { Self.pixels(from: low, to: high, of: height) }

    private func columns(from low: Double, to high: Double) -> Range<Int> {
        Self.pixels(from: low, to: high, of: width)
    }

    private static func pixels(from low: Double, to high: Double, of count: Int) -> Range<Int> {
        let first = Int(min(max(low.rounded(.down), 0), Double(count)))
        let last = Int(min(max(high.rounded(.up), 0), Double(count)))
        return first..<max(first, last)
    }

    /// A coordinate far outside any image brought to where squares of it are still exact; nil for NaN.
    private static func tame(_ value: Float) -> Double? {
        value.isNaN ? nil : Double(min(max(value, -1e7), 1e7))
    }
}
