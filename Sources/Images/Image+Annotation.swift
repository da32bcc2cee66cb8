import Boxes

/// How detections are drawn.
public struct AnnotationStyle: Sendable, Equatable {
    /// In pixels; nil follows the image's size.
    public var lineWidth: Int?
    /// Pixels to the em; nil follows the image's size.
    public var textSize: Int?
    public var showsLabels: Bool
    public var showsScores: Bool

    public init(lineWidth: Int? = nil, textSize: Int? = nil, showsLabels: Bool = true, showsScores: Bool = true) {
        self.lineWidth = lineWidth
        self.textSize = textSize
        self.showsLabels = showsLabels
        self.showsScores = showsScores
    }
}

extension Image {
    /// A copy with a frame around each detection and its label on a plate, in the class's colour.
    ///
    /// Plates stand above their frame, or inside it where there is no room, and get out of one another's way where they can; better
    /// detections lie on top. Boxes outside the image, without area or not finite are safe.
    ///
    /// - Parameter detections: boxes in pixels of this image.
    public func annotated(with detections: [Detection], style: AnnotationStyle = AnnotationStyle()) -> Image {
        guard width > 0, height > 0 else { return self }
        var painter = AnnotationPainter(Canvas(self), style: style)
        painter.paint(detections)
        return painter.canvas.image
    }
}

/// Draws the detections of one image.
private struct AnnotationPainter {
    private(set) var canvas: Canvas
    private let style: AnnotationStyle
    private let lineWidth: Int
    private let typeface: Typeface

    /// A label that has its place.
    private struct Plate {
        let area: PixelRectangle
        let text: String
        let color: Color
    }

    init(_ canvas: Canvas, style: AnnotationStyle) {
        self.canvas = canvas
        self.style = style
        // The geometric mean of the sides: a panorama's letters must fit its height.
        let size = (Double(canvas.width) * Double(canvas.height)).squareRoot()
        let shorterSide = min(canvas.width, canvas.height)
        lineWidth = min(max(style.lineWidth ?? Int((size * 0.0035).rounded()), 1), max(shorterSide / 2, 1))
        typeface = Typeface(pixelSize: style.textSize ?? max(Int((size * 0.026).rounded()), 11))
    }

    mutating func paint(_ detections: [Detection]) {
        // Best last, so that it lies on top; equal scores keep their order.
        let visible = detections.enumerated()
            .compactMap { index, detection in frame(of: detection.box).map { (index, detection, $0) } }
            .sorted { ($0.1.score, $1.0) < ($1.1.score, $0.0) }
        for (_, detection, frame) in visible {
            canvas.strokeRectangle(
                frame, lineWidth: lineWidth, color: ClassColors.color(ofClass: detection.classID))
        }
        // The best choose their place first.
        var plates: [Plate] = []
        for (_, detection, frame) in visible.reversed() {
            guard let text = caption(of: detection),
                let area = place(width: typeface.width(of: text), besides: frame, avoiding: plates)
            else { continue }
            plates.append(Plate(area: area, text: text, color: ClassColors.color(ofClass: detection.classID)))
        }
        for plate in plates.reversed() { draw(plate) }
    }

    /// The outer edge of a box's frame, inside the image; nil when none of the box is.
    private func frame(of box: CornerBox) -> PixelRectangle? {
        let (width, height) = (Float(canvas.width), Float(canvas.height))
        // Comparisons with NaN are false, so this keeps them out, too.
        guard box.xMin <= box.xMax, box.yMin <= box.yMax, box.xMax >= 0, box.yMax >= 0, box.xMin <= width,
            box.yMin <= height
        else { return nil }
        let inside = box.clamped(width: width, height: height)
        let half = Float(lineWidth) / 2
        var left = max(Int((inside.xMin - half).rounded()), 0)
        var top = max(Int((inside.yMin - half).rounded()), 0)
        let right = min(max(Int((inside.xMax + half).rounded()), left + 1), canvas.width)
        let bottom = min(max(Int((inside.yMax + half).rounded()), top + 1), canvas.height)
        (left, top) = (min(left, right - 1), min(top, bottom - 1))
        return PixelRectangle(left: left, top: top, right: right, bottom: bottom)
    }

    // MARK: Labels

    private var padding: (horizontal: Int, vertical: Int) {
        // Descenders and accents reach 0.24 em out of the capitals' height.
        (max(typeface.pixelSize * 35 / 100, 2), max((typeface.pixelSize * 30 + 50) / 100, 2))
    }

    /// The label's text, shortened to fit the image; nil when there is nothing to say, or no room to say it.
    private func caption(of detection: Detection) -> String? {
        var parts: [String] = []
        if style.showsLabels { parts.append(Self.printable(detection.label)) }
        if style.showsScores { parts.append(Self.twoDecimals(detection.score)) }
        var text = parts.filter { !$0.isEmpty }.joined(separator: " ")
        let room = canvas.width - 2 * padding.horizontal
        guard !text.isEmpty else { return nil }
        guard typeface.width(of: text) > room else { return text }
        let ellipsis = "\u{2026}"
        while !text.isEmpty, typeface.width(of: text + ellipsis) > room { text.removeLast() }
        return text.isEmpty ? nil : text + ellipsis
    }

    /// At most 100 characters in one line.
    private static func printable(_ label: String) -> String {
        let scalars = label.unicodeScalars.prefix(100).map { $0.properties.generalCategory == .control ? " " : $0 }
        return String(String.UnicodeScalarView(scalars))
    }

    private static func twoDecimals(_ score: Float) -> String {
        let hundredths = score.isNaN ? 0 : Int((min(max(score, 0), 1) * 100).rounded())
        return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
    }

    /// Above the frame, else inside at its top, below it or inside at its bottom, flush left or right: the first place in the
    /// image that is free, or the first in the image if none is.
    private func place(width textWidth: Int, besides frame: PixelRectangle, avoiding plates: [Plate]) -> PixelRectangle?
    {
        let width = textWidth + 2 * padding.horizontal
        let height = typeface.capitalHeight + 2 * padding.vertical
        guard width <= canvas.width, height <= canvas.height else { return nil }
        let lefts = [min(frame.left, canvas.width - width), max(frame.right - width, 0)]
        let tops = [frame.top - height, frame.top, frame.bottom, frame.bottom - height]
            .filter { $0 >= 0 && $0 + height <= canvas.height }
        let places = tops.flatMap { top in
            lefts.map { PixelRectangle(left: $0, top: top, right: $0 + width, bottom: top + height) }
        }
        let free = places.first { place in plates.allSatisfy { $0.area.intersection(place) == nil } }
        return free ?? places.first
    }

    private mutating func draw(_ plate: Plate) {
        canvas.fillRectangle(plate.area, color: plate.color)
        canvas.text(
            plate.text, typeface: typeface, left: plate.area.left + padding.horizontal,
            baseline: plate.area.top + padding.vertical + typeface.capitalHeight,
            color: plate.color.luminance > 0.5 ? .black : .white, limits: plate.area)
    }
}
