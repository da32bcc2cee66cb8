// Antialiased shapes: what a pixel is covered follows from its centre's distance to the outline.

extension Raster {
    mutating func fill(_ area: Area, color: Tone, opacity: Float = 1) {
        paint(in: area.expanded(by: 1)) { (color, min(max(0.5 - area.distance(to: $0), 0), 1) * opacity) }
    }

    /// A rectangle with round corners.
    mutating func fillRounded(_ area: Area, radius: Float, color: Tone, opacity: Float = 1) {
        let radius = min(radius, min(area.width, area.height) / 2)
        let inner = area.expanded(by: -radius)
        paint(in: area.expanded(by: 1)) { point in
            let horizontal = max(abs(point.x - inner.left - inner.width / 2) - inner.width / 2, 0)
            let vertical = max(abs(point.y - inner.top - inner.height / 2) - inner.height / 2, 0)
            let distance = (horizontal * horizontal + vertical * vertical).squareRoot() - radius
            return (color, min(max(0.5 - distance, 0), 1) * opacity)
        }
    }

    /// A frame of `lineWidth` just inside the area.
    mutating func stroke(_ area: Area, lineWidth: Float, color: Tone, opacity: Float = 1) {
        paint(in: area.expanded(by: 1)) { point in
            let distance = area.distance(to: point)
            let share = min(max(0.5 - distance, 0), 1) * min(max(distance + lineWidth + 0.5, 0), 1)
            return (color, share * opacity)
        }
    }

    mutating func fillEllipse(_ area: Area, color: Tone, opacity: Float = 1) {
        let center = area.center
        let radii = Point(max(area.width / 2, 0.5), max(area.height / 2, 0.5))
        let softness = min(radii.x, radii.y)
        paint(in: area.expanded(by: 1)) { point in
            let offset = (point - center) / radii
            let distance = ((offset * offset).sum().squareRoot() - 1) * softness
            return (color, min(max(0.5 - distance, 0), 1) * opacity)
        }
    }

    mutating func strokeCircle(center: Point, radius: Float, lineWidth: Float, color: Tone, opacity: Float = 1) {
        let reach = radius + lineWidth
        let area = Area(left: center.x - reach, top: center.y - reach, width: 2 * reach, height: 2 * reach)
        paint(in: area) { point in
            let offset = point - center
            let distance = abs((offset * offset).sum().squareRoot() - radius) - lineWidth / 2
            return (color, min(max(0.5 - distance, 0), 1) * opacity)
        }
    }

    /// A line with round ends.
    mutating func line(from start: Point, to end: Point, width lineWidth: Float, color: Tone, opacity: Float = 1) {
        let along = end - start
        let squaredLength = max((along * along).sum(), 1e-6)
        let reach = lineWidth / 2 + 1
        let area = Area(
            left: min(start.x, end.x), top: min(start.y, end.y), width: abs(along.x), height: abs(along.y))
        paint(in: area.expanded(by: reach)) { point in
            let offset = point - start
            let nearest = min(max((offset * along).sum() / squaredLength, 0), 1)
            let rest = offset - along * nearest
            let distance = (rest * rest).sum().squareRoot() - lineWidth / 2
            return (color, min(max(0.5 - distance, 0), 1) * opacity)
        }
    }

    /// A convex polygon with its corners in either turning direction.
    ///
    /// - Parameter softness: pixels over which its edge fades.
    @inline(__always)
    mutating func fillConvex(
        _ corners: [Point], color: (Point) -> Tone, opacity: Float = 1, softness: Float = 1
    ) {
        guard let polygon = ConvexPolygon(corners) else { return }
        let (softness, fade) = (max(softness, 1), 1 / max(softness, 1))
        let (columns, rows) = span(polygon.bounds.expanded(by: softness))
        let width = width
        pixels.withUnsafeMutableBufferPointer { pixels in
            for row in rows {
                let vertical = Float(row) + 0.5
                let outer = polygon.columns(at: vertical, within: softness / 2, among: columns)
                let inner = polygon.columns(at: vertical, within: -softness / 2, among: columns)
                for column in outer {
                    let point = Point(Float(column) + 0.5, vertical)
                    let share = inner.contains(column) ? 1 : min(max(0.5 - polygon.distance(to: point) * fade, 0), 1)
                    pixels[row * width + column].cover(with: color(point), share: share * opacity)
                }
            }
        }
    }
}

/// The area within straight edges.
package struct ConvexPolygon {
    let bounds: Area
    private var edges: [(normal: Point, offset: Float)] = []

    /// Nil where the corners are fewer than three or lie on each other.
    package init?(_ corners: [SIMD2<Float>]) {
        guard corners.count > 2 else { return nil }
        let (low, high) = corners.reduce((corners[0], corners[0])) { (pointwiseMin($0.0, $1), pointwiseMax($0.1, $1)) }
        bounds = Area(left: low.x, top: low.y, width: high.x - low.x, height: high.y - low.y)
        let center = corners.reduce(.zero, +) / Float(corners.count)
        for index in corners.indices {
            let (start, end) = (corners[index], corners[(index + 1) % corners.count])
            let along = end - start
            let length = (along * along).sum().squareRoot()
            guard length > 1e-3 else { continue }
            var normal = Point(along.y, -along.x) / length
            if ((center - start) * normal).sum() > 0 { normal = -normal }
            edges.append((normal, (start * normal).sum()))
        }
        guard edges.count > 2 else { return nil }
    }

    /// To the farthest of the edges' lines; below 0 inside.
    package func distance(to point: SIMD2<Float>) -> Float {
        var distance = -Float.infinity
        for edge in edges { distance = max(distance, (point * edge.normal).sum() - edge.offset) }
        return distance
    }

    /// The columns whose centres are nearer than `reach` in the row whose centre lies at `vertical`.
    package func columns(at vertical: Float, within reach: Float, among columns: Range<Int>) -> Range<Int> {
        var (low, high) = (Float(columns.lowerBound), Float(columns.upperBound))
        for edge in edges {
            let room = reach + edge.offset - edge.normal.y * vertical
            if edge.normal.x > 1e-6 {
                high = min(high, room / edge.normal.x + 0.5)
            } else if edge.normal.x < -1e-6 {
                low = max(low, room / edge.normal.x - 0.5)
            } else if room <= 0 {
                return columns.lowerBound..<columns.lowerBound
            }
        }
        guard high > low else { return columns.lowerBound..<columns.lowerBound }
        let first = max(columns.lowerBound, Int(low.rounded(.up)))
        return first..<max(first, min(columns.upperBound, Int(high.rounded(.down))))
    }
}
