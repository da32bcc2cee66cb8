/// A thick straight line with round ends, as the share of each pixel that it covers.
struct Segment {
    private let startX: Double
    private let startY: Double
    private let endX: Double
    private let endY: Double
    /// Half the line's width.
    private let radius: Double

    /// Between pixel coordinates; pixel centres lie at halves.
    ///
    /// - Returns: nil without width, or for what is not a number.
    init?(from start: (x: Float, y: Float), to end: (x: Float, y: Float), width: Float) {
        guard let startX = Self.tame(start.x), let startY = Self.tame(start.y), let endX = Self.tame(end.x),
            let endY = Self.tame(end.y), let radius = Self.tame(width / 2), radius > 0
        else { return nil }
        self.startX = startX
        self.startY = startY
        self.endX = endX
        self.endY = endY
        self.radius = radius
    }

    /// Visits the pixels of `area` near the line, each once.
    ///
    /// - Parameter body: takes a pixel and its coverage, 0...1, which is 0 for many.
    func forEachPixel(in area: PixelRectangle, _ body: (_ column: Int, _ row: Int, _ coverage: Float) -> Void) {
        let (deltaX, deltaY) = (endX - startX, endY - startY)
        let squaredLength = deltaX * deltaX + deltaY * deltaY
        let reach = radius + 1
        let rows = Self.pixels(
            from: min(startY, endY) - reach, to: max(startY, endY) + reach, within: area.top..<area.bottom)
        for row in rows {
            let y = Double(row) + 0.5
            // Only columns near the part of the line that is near this row.
            var (low, high) = (min(startX, endX), max(startX, endX))
            if abs(deltaY) > 1e-9 {
                let shares = [(y - reach - startY) / deltaY, (y + reach - startY) / deltaY].map { min(max($0, 0), 1) }
                let ends = shares.map { startX + $0 * deltaX }
                (low, high) = (min(ends[0], ends[1]), max(ends[0], ends[1]))
            }
            for column in Self.pixels(from: low - reach, to: high + reach, within: area.left..<area.right) {
                let x = Double(column) + 0.5
                let along = squaredLength > 0 ? ((x - startX) * deltaX + (y - startY) * deltaY) / squaredLength : 0
                let nearest = min(max(along, 0), 1)
                let (offX, offY) = (x - startX - nearest * deltaX, y - startY - nearest * deltaY)
                let coverage = radius + 0.5 - (offX * offX + offY * offY).squareRoot()
                body(column, row, Float(min(max(coverage, 0), 1)))
            }
        }
    }

    private static func pixels(from low: Double, to high: Double, within range: Range<Int>) -> Range<Int> {
        let (lower, upper) = (Double(range.lowerBound), Double(range.upperBound))
        let first = Int(min(max(low.rounded(.down), lower), upper))
        let last = Int(min(max(high.rounded(.up), lower), upper))
        return first..<max(first, last)
    }

    /// A coordinate far outside any image brought to where squares of it are still exact; nil for NaN.
    private static func tame(_ value: Float) -> Double? {
        value.isNaN ? nil : Double(min(max(value, -1e7), 1e7))
    }
}
