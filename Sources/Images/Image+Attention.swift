import Boxes

extension Image {
    /// A copy with one detection drawn as ``annotated(with:style:)`` draws it, and the points that the network sampled for it.
    ///
    /// Each sampling point of every head and level is a dot in a thin dark ring, coloured by its attention weight from blue (0) to
    /// red (this detection's largest), larger weights on top. The reference point is a green cross. A scale in the corner
    /// where it hides least says what red stands for. Points outside the image are cut off, those that are not numbers left out.
    /// Sizes follow the image's; the dots of small objects are smaller.
    ///
    /// - Parameters:
    ///   - detection: its box in pixels of this image.
    ///   - attention: positions in pixels of this image.
    /// - Source: "Deformable DETR" (arXiv 2010.04159), figure 6.
    public func annotated(
        with detection: Detection, attention: DetectionAttention, style: AnnotationStyle = AnnotationStyle()
    ) -> Image {
        var painter = AttentionPainter(Canvas(self), detection, attention, style: style)
        painter.paint()
        return painter.canvas.image
    }
}

/// Draws one detection and its sampling points.
private struct AttentionPainter {
    private(set) var canvas: Canvas
    private let style: AnnotationStyle
    private let detection: Detection
    private let reference: DetectionAttention.Position
    /// Those with a position and a weight, the smallest weight first.
    private let points: [DetectionAttention.SamplingPoint]
    private let largestWeight: Float
    /// Of a dot.
    private let radius: Float
    /// The width of what sets dots and cross off from the ground.
    private let ring: Float
    private let typeface: Typeface

    private static let dark = Color(0x101010)
    private static let green = Color(0x00E83A)

    init(_ canvas: Canvas, _ detection: Detection, _ attention: DetectionAttention, style: AnnotationStyle) {
        self.canvas = canvas
        self.style = style
        self.detection = detection
        reference = attention.reference
        points = attention.points.enumerated()
            .filter { !$1.position.x.isNaN && !$1.position.y.isNaN && $1.weight.isFinite }
            .sorted { ($0.element.weight, $0.offset) < ($1.element.weight, $1.offset) }
            .map(\.element)
        largestWeight = points.last?.weight ?? 0
        // By the image's size, but down to half of that for small objects, whose points lie close together.
        let extent = AnnotationStyle.extent(of: canvas)
        radius = max(min(extent * 0.006, max(extent * 0.003, detection.box.area.squareRoot() / 16)), 1.5)
        ring = max(radius * 0.3, 0.75)
        typeface = Typeface(pixelSize: style.textSize(on: canvas))
    }

    mutating func paint() {
        let spots = (points.map(\.position) + [reference]).compactMap(spot)
        canvas.annotate([detection], style: style, obstacles: spots)
        for point in points {
            let center = (point.position.x, point.position.y)
            canvas.disc(center: center, radius: radius + ring, color: Self.dark)
            canvas.disc(center: center, radius: radius, color: color(ofWeight: point.weight))
        }
        paintCross()
        paintScale(obstacles: spots)
    }

    /// The pixels around a position; nil outside the image.
    private func spot(at position: DetectionAttention.Position) -> PixelRectangle? {
        let reach = radius + ring
        // Comparisons with NaN are false, so this keeps it out.
        guard position.x > -reach, position.y > -reach, position.x < Float(canvas.width) + reach,
            position.y < Float(canvas.height) + reach
        else { return nil }
        return PixelRectangle(
            left: Int((position.x - reach).rounded(.down)), top: Int((position.y - reach).rounded(.down)),
            right: Int((position.x + reach).rounded(.up)), bottom: Int((position.y + reach).rounded(.up)))
    }

    private func color(ofWeight weight: Float) -> Color {
        WeightColors.color(ofShare: largestWeight > 0 ? weight / largestWeight : 0)
    }

    /// Green within black within white: seen on any ground, and on the dots.
    private mutating func paintCross() {
        let arm = radius * 3.2
        for (margin, color) in [(2 * ring, Color.white), (ring, Self.dark), (0, Self.green)] {
            for (x, y) in [(arm, Float(0)), (0, arm)] {
                canvas.line(
                    from: (reference.x - x, reference.y - y), to: (reference.x + x, reference.y + y),
                    width: max(radius * 0.8, 1.5) + 2 * margin, color: color)
            }
        }
    }

    /// A bar of the colours between 0 and the largest weight; nothing where it has no room.
    private mutating func paintScale(obstacles: [PixelRectangle]) {
        let ends = ["0", largestWeight.twoDecimals]
        let padding = max(typeface.pixelSize * 35 / 100, 2)
        let barWidth = typeface.pixelSize * 5
        let widths = ends.map(typeface.width(of:))
        let width = widths[0] + barWidth + widths[1] + 4 * padding
        let height = typeface.capitalHeight + 2 * padding
        guard largestWeight > 0, 2 * (width + padding) <= canvas.width, 2 * (height + padding) <= canvas.height,
            let area = corner(width: width, height: height, margin: padding, avoiding: obstacles)
        else { return }
        canvas.fillRectangle(area, color: .white)
        let barLeft = area.left + 2 * padding + widths[0]
        for column in 0..<barWidth {
            canvas.fillRectangle(
                PixelRectangle(
                    left: barLeft + column, top: area.top + padding, right: barLeft + column + 1,
                    bottom: area.bottom - padding),
                color: WeightColors.color(ofShare: (Float(column) + 0.5) / Float(barWidth)))
        }
        for (text, left) in zip(ends, [area.left + padding, barLeft + barWidth + padding]) {
            canvas.text(
                text, typeface: typeface, left: left, baseline: area.bottom - padding, color: .black, limits: area)
        }
    }

    /// The corner with the fewest obstacles, bottom right first.
    private func corner(
        width: Int, height: Int, margin: Int, avoiding obstacles: [PixelRectangle]
    ) -> PixelRectangle? {
        let corners = [canvas.height - height - margin, margin].flatMap { top in
            [canvas.width - width - margin, margin].map { left in
                PixelRectangle(left: left, top: top, right: left + width, bottom: top + height)
            }
        }
        func obstacleCount(in area: PixelRectangle) -> Int { obstacles.count { $0.intersection(area) != nil } }
        return corners.min { obstacleCount(in: $0) < obstacleCount(in: $1) }
    }
}
