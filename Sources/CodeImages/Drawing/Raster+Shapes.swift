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
    mutating func fillConvex(_ corners: [Point], color: (Point) -> Tone, opacity: Float = 1) {
        guard corners.count > 2 else { return }
        let (low, high) = corners.reduce((corners[0], corners[0])) { (pointwiseMin($0.0, $1), pointwiseMax($0.1, $1)) }
        var edges: [(normal: Point, offset: Float)] = []
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
        let area = Area(left: low.x, top: low.y, width: high.x - low.x, height: high.y - low.y)
        paint(in: area.expanded(by: 1)) { point in
            var distance = -Float.infinity
            for edge in edges { distance = max(distance, (point * edge.normal).sum() - edge.offset) }
            return distance < 0.5 ? (color(point), min(0.5 - distance, 1) * opacity) : (.zero, 0)
        }
    }
}
