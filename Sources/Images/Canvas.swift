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

    package init(left: Int = 0, top: Int = 0, width: Int, height: Int) {
        self.init(left: left, top: top, right: left + width, bottom: top + height)
    }

    package var width: Int { right - left }
    package var height: Int { bottom - top }

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

    /// One colour everywhere.
    /// - Precondition: both sides are positive.
    package init(width: Int, height: Int, color: Color) {
        precondition(width > 0 && height > 0, "a canvas of \(width)x\(height) pixels")
        self.width = width
        self.height = height
        pixels = [UInt8](unsafeUninitializedCapacity: width * height * 3) { pixels, count in
            for start in stride(from: 0, to: width * height * 3, by: 3) {
                pixels[start] = color.red
                pixels[start + 1] = color.green
                pixels[start + 2] = color.blue
            }
            count = width * height * 3
        }
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
        for side in Self.sides(of: rectangle, lineWidth: lineWidth) {
            fillRectangle(side, color: color, opacity: opacity)
        }
    }

    /// A frame of `lineWidth` pixels just inside the rectangle, in slanted dashes of two colours that show on any ground.
    package mutating func dashRectangle(
        _ rectangle: PixelRectangle, lineWidth: Int, dashLength: Int, colors: (Color, Color)
    ) {
        for side in Self.sides(of: rectangle, lineWidth: lineWidth) {
            guard let visible = side.intersection(bounds) else { continue }
            for row in visible.top..<visible.bottom {
                for column in visible.left..<visible.right {
                    // Columns and rows together, so that dashes run on around the corners.
                    let isFirst = (column + row) / max(dashLength, 1) % 2 == 0
                    blend(isFirst ? colors.0 : colors.1, coverage: 1, column: column, row: row)
                }
            }
        }
    }

    /// The four sides of a frame inside a rectangle; no pixel is in two of them.
    private static func sides(of rectangle: PixelRectangle, lineWidth: Int) -> [PixelRectangle] {
        let horizontal = min(lineWidth, (rectangle.bottom - rectangle.top + 1) / 2)
        let vertical = min(lineWidth, (rectangle.right - rectangle.left + 1) / 2)
        var (top, bottom, left, right) = (rectangle, rectangle, rectangle, rectangle)
        top.bottom = rectangle.top + horizontal
        bottom.top = max(top.bottom, rectangle.bottom - horizontal)
        (left.top, left.bottom) = (top.bottom, bottom.top)
        (right.top, right.bottom) = (top.bottom, bottom.top)
        left.right = rectangle.left + vertical
        right.left = max(left.right, rectangle.right - vertical)
        return [top, bottom, left, right]
    }

    /// An antialiased line with round ends, between pixel coordinates (pixel centres lie at halves).
    package mutating func line(
        from start: (x: Float, y: Float), to end: (x: Float, y: Float), width lineWidth: Float, color: Color,
        opacity: Float = 1
    ) {
        guard let segment = Segment(from: start, to: end, width: lineWidth) else { return }
        segment.forEachPixel(in: bounds) { column, row, coverage in
            blend(color, coverage: coverage * opacity, column: column, row: row)
        }
    }

    /// Antialiased lines from each point to the next, joined roundly; one point is a dot. Where they meet or cross, the colour is
    /// laid on once, so that a crowded curve is no darker than a quiet one. `limits` cuts off what lies outside it.
    ///
    /// Points that are not numbers are left out.
    /// - Complexity: O(area of `limits` + covered pixels).
    package mutating func polyline(
        through points: [(x: Float, y: Float)], width lineWidth: Float, color: Color, opacity: Float = 1,
        limits: PixelRectangle
    ) {
        let points = points.filter { !$0.x.isNaN && !$0.y.isNaN }
        guard let limits = limits.intersection(bounds), let first = points.first else { return }
        let columns = limits.right - limits.left
        var coverages = [Float](repeating: 0, count: columns * (limits.bottom - limits.top))
        for (start, end) in zip([first] + points, points) {
            Segment(from: start, to: end, width: lineWidth)?.forEachPixel(in: limits) { column, row, coverage in
                let index = (row - limits.top) * columns + column - limits.left
                coverages[index] = max(coverages[index], coverage)
            }
        }
        for (index, coverage) in coverages.enumerated() where coverage > 0 {
            blend(
                color, coverage: coverage * opacity, column: limits.left + index % columns,
                row: limits.top + index / columns)
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

    /// Where a line of text lies: from a column on, in the middle of it, or up to it.
    package enum TextAlignment: Sendable { case left, center, right }

    /// Antialiased text beside the column `x` on the line `baseline`.
    package mutating func text(
        _ text: String, typeface: Typeface, at x: Int, baseline: Int, alignment: TextAlignment = .left, color: Color
    ) {
        let width = typeface.width(of: text)
        let left =
            switch alignment {
            case .left: x
            case .center: x - width / 2
            case .right: x - width
            }
        self.text(text, typeface: typeface, left: left, baseline: baseline, color: color, limits: bounds)
    }

    /// Another image's pixels, with its top left corner at a place.
    package mutating func paste(_ image: Image, left: Int, top: Int) {
        let area = PixelRectangle(left: left, top: top, right: left + image.width, bottom: top + image.height)
        guard let visible = area.intersection(bounds) else { return }
        let count = (visible.right - visible.left) * 3
        for row in visible.top..<visible.bottom {
            let target = (row * width + visible.left) * 3
            let source = ((row - top) * image.width + visible.left - left) * 3
            pixels.replaceSubrange(target..<target + count, with: image.pixels[source..<source + count])
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
}
