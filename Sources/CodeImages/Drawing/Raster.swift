/// Column and row, in pixels; pixel centres lie at halves.
typealias Point = SIMD2<Float>

/// Red, green, blue and opacity, 0...1.
typealias Tone = SIMD4<Float>

extension SIMD4<Float> {
    static func gray(_ value: Float) -> Tone { Tone(value, value, value, 1) }

    /// - Source: the usual conversion of hue (0...1), saturation and value.
    static func hue(_ hue: Float, saturation: Float, value: Float) -> Tone {
        func channel(_ shift: Float) -> Float {
            let position = (hue + shift) * 6
            let wrapped = position - 6 * (position / 6).rounded(.down)
            let clipped = Swift.min(Swift.max(abs(wrapped - 3) - 1, 0), 1)
            return value * (1 - saturation * (1 - clipped))
        }
        return Tone(channel(0), channel(2.0 / 3), channel(1.0 / 3), 1)
    }

    /// ITU-R BT.601 luma.
    var luminance: Float { 0.299 * x + 0.587 * y + 0.114 * z }

    /// The colour `share` of the way to another; the opacity too.
    func mixed(with other: Tone, share: Float) -> Tone { self + (other - self) * share }

    /// Every channel brought into 0...1, and 0 where it is no number: in two instructions, where the library's
    /// `clamped` goes channel by channel.
    @inline(__always)
    var inRange: Tone {
        let raised = Tone.zero.replacing(with: self, where: self .> 0)
        return raised.replacing(with: 1, where: raised .> 1)
    }

    /// Lays a share of a colour over this one, whose opacity grows.
    @inline(__always)
    mutating func cover(with color: Tone, share: Float) {
        var mixed = self + (color - self) * share
        mixed.w = Swift.max(w, share)
        self = mixed
    }

    /// The colour multiplied, the opacity kept.
    func scaled(_ factor: Float) -> Tone { self * Tone(factor, factor, factor, 1) }
}

/// A rectangle in pixels.
struct Area: Sendable, Equatable {
    var left: Float
    var top: Float
    var width: Float
    var height: Float

    var right: Float { left + width }
    var bottom: Float { top + height }
    var center: Point { [left + width / 2, top + height / 2] }

    /// Larger by `margin` on every side.
    func expanded(by margin: Float) -> Area {
        Area(left: left - margin, top: top - margin, width: width + 2 * margin, height: height + 2 * margin)
    }

    func overlaps(_ other: Area) -> Bool {
        left < other.right && other.left < right && top < other.bottom && other.top < bottom
    }

    func contains(_ point: Point) -> Bool {
        point.x >= left && point.x < right && point.y >= top && point.y < bottom
    }

    /// Below 0 inside: the distance to the nearest side or, outside, at most that to the rectangle.
    func distance(to point: Point) -> Float {
        let horizontal = abs(point.x - left - width / 2) - width / 2
        let vertical = abs(point.y - top - height / 2) - height / 2
        return max(horizontal, vertical)
    }
}

/// A picture of floating-point colours to draw on.
struct Raster: Sendable {
    let width: Int
    let height: Int
    /// `[height, width]`.
    var pixels: [Tone]

    init(width: Int, height: Int, color: Tone) {
        precondition(width > 0 && height > 0, "a raster of \(width)x\(height)")
        self.width = width
        self.height = height
        pixels = [Tone](repeating: color, count: width * height)
    }

    /// `[height, width, 3]`: red, green and blue in 0...255, rounded.
    var bytes: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: pixels.count * 3)
        pixels.withUnsafeBufferPointer { pixels in
            bytes.withUnsafeMutableBufferPointer { bytes in
                for index in pixels.indices {
                    let scaled = pixels[index].inRange * 255 + 0.5
                    bytes[3 * index] = UInt8(scaled.x)
                    bytes[3 * index + 1] = UInt8(scaled.y)
                    bytes[3 * index + 2] = UInt8(scaled.z)
                }
            }
        }
        return bytes
    }

    var area: Area { Area(left: 0, top: 0, width: Float(width), height: Float(height)) }

    /// Bilinear between pixel centres; outside, the nearest pixel.
    func sample(_ point: Point) -> Tone {
        pixels.withUnsafeBufferPointer { Self.sample($0, width: width, height: height, at: point) }
    }

    /// The same for loops that have the pixels at hand.
    @inline(__always)
    static func sample(_ pixels: UnsafeBufferPointer<Tone>, width: Int, height: Int, at point: Point) -> Tone {
        let x = min(max(point.x - 0.5, 0), Float(width - 1))
        let y = min(max(point.y - 0.5, 0), Float(height - 1))
        let (column, row) = (Int(x), Int(y))
        let (shareX, shareY) = (x - Float(column), y - Float(row))
        let first = row * width + column
        let right = column + 1 < width ? 1 : 0
        let below = row + 1 < height ? width : 0
        let upper = pixels[first] + (pixels[first + right] - pixels[first]) * shareX
        let lower = pixels[first + below] + (pixels[first + below + right] - pixels[first + below]) * shareX
        return upper + (lower - upper) * shareY
    }

    /// Covers a pixel with a share of a colour; its own opacity grows.
    @inline(__always)
    mutating func blend(_ color: Tone, share: Float, at index: Int) {
        pixels[index].cover(with: color, share: share)
    }

    /// The pixels that an area touches.
    func span(_ area: Area) -> (columns: Range<Int>, rows: Range<Int>) {
        func range(_ low: Float, _ high: Float, _ count: Int) -> Range<Int> {
            let first = Int(min(max(low.rounded(.down), 0), Float(count)))
            let last = Int(min(max(high.rounded(.up), 0), Float(count)))
            return first..<max(first, last)
        }
        return (range(area.left, area.right, width), range(area.top, area.bottom, height))
    }

    /// Calls for the centre of every pixel in an area; what it returns covers the pixel.
    @inline(__always)
    mutating func paint(in area: Area, _ tone: (Point) -> (color: Tone, share: Float)) {
        let (columns, rows) = span(area)
        let width = width
        // Without the array's check of every index: `span` keeps them inside.
        pixels.withUnsafeMutableBufferPointer { pixels in
            for row in rows {
                for column in columns {
                    let (color, share) = tone([Float(column) + 0.5, Float(row) + 0.5])
                    if share > 0 { pixels[row * width + column].cover(with: color, share: min(share, 1)) }
                }
            }
        }
    }
}
