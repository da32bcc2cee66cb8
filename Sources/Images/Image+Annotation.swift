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

    /// What sizes follow: the geometric mean of the sides, as a panorama's letters must fit its height.
    static func extent(of canvas: Canvas) -> Float {
        Float((Double(canvas.width) * Double(canvas.height)).squareRoot())
    }

    func lineWidth(on canvas: Canvas) -> Int {
        let shorterSide = min(canvas.width, canvas.height)
        let width = lineWidth ?? Int((Self.extent(of: canvas) * 0.0035).rounded())
        return min(max(width, 1), max(shorterSide / 2, 1))
    }

    /// Pixels to the em.
    func textSize(on canvas: Canvas) -> Int {
        textSize ?? max(Int((Self.extent(of: canvas) * 0.026).rounded()), 11)
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
        var canvas = Canvas(self)
        canvas.annotate(detections, style: style)
        return canvas.image
    }
}

extension Canvas {
    /// Draws frames and plates.
    /// - Parameter obstacles: what plates should not hide, where they can help it.
    mutating func annotate(_ detections: [Detection], style: AnnotationStyle, obstacles: [PixelRectangle] = []) {
        var painter = AnnotationPainter(self, style: style, obstacles: obstacles)
        painter.paint(detections)
        self = painter.canvas
    }

    /// The outer edge of a frame whose line runs along a box's edge, inside the image; nil when none of the box is.
    package func frame(of box: CornerBox, lineWidth: Int) -> PixelRectangle? {
        let (width, height) = (Float(self.width), Float(self.height))
        // Comparisons with NaN are false, so this keeps them out, too.
        guard box.xMin <= box.xMax, box.yMin <= box.yMax, box.xMax >= 0, box.yMax >= 0, box.xMin <= width,
            box.yMin <= height
        else { return nil }
        let inside = box.clamped(width: width, height: height)
        let half = Float(lineWidth) / 2
        var left = max(Int((inside.xMin - half).rounded()), 0)
        var top = max(Int((inside.yMin - half).rounded()), 0)
        let right = min(max(Int((inside.xMax + half).rounded()), left + 1), self.width)
        let bottom = min(max(Int((inside.yMax + half).rounded()), top + 1), self.height)
        (left, top) = (min(left, right - 1), min(top, bottom - 1))
        return PixelRectangle(left: left, top: top, right: right, bottom: bottom)
    }
}

/// Draws the detections of one image.
private struct AnnotationPainter {
    private(set) var canvas: Canvas
    private let style: AnnotationStyle
    private let lineWidth: Int
    private let typeface: Typeface
    private let obstacles: [PixelRectangle]

    /// A label that has its place.
    private struct Plate {
        let area: PixelRectangle
        let text: String
        let color: Color
    }

    init(_ canvas: Canvas, style: AnnotationStyle, obstacles: [PixelRectangle]) {
        self.canvas = canvas
        self.style = style
        self.obstacles = obstacles
        lineWidth = style.lineWidth(on: canvas)
        typeface = Typeface(pixelSize: style.textSize(on: canvas))
    }

    mutating func paint(_ detections: [Detection]) {
        // Best last, so that it lies on top; equal scores keep their order.
        let visible = detections.enumerated()
            .compactMap { index, detection in
                canvas.frame(of: detection.box, lineWidth: lineWidth).map { (index, detection, $0) }
            }
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

    // MARK: Labels

    private var padding: (horizontal: Int, vertical: Int) {
        // Descenders and accents reach 0.24 em out of the capitals' height.
        (max(typeface.pixelSize * 35 / 100, 2), max((typeface.pixelSize * 30 + 50) / 100, 2))
    }

    /// The label's text, shortened to fit the image; nil when there is nothing to say, or no room to say it.
    private func caption(of detection: Detection) -> String? {
        var parts: [String] = []
        if style.showsLabels { parts.append(Self.printable(detection.label)) }
        if style.showsScores { parts.append(detection.score.twoDecimals) }
        let text = typeface.fitted(
            parts.filter { !$0.isEmpty }.joined(separator: " "), width: canvas.width - 2 * padding.horizontal)
        return text.isEmpty ? nil : text
    }

    /// At most 100 characters in one line.
    private static func printable(_ label: String) -> String {
        let scalars = label.unicodeScalars.prefix(100).map { $0.properties.generalCategory == .control ? " " : $0 }
        return String(String.UnicodeScalarView(scalars))
    }

    /// Above the frame, else inside at its top, below it or inside at its bottom, flush left or right: the first place in the
    /// image that is free, or else the first of those with the fewest obstacles.
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
        func obstacleCount(in place: PixelRectangle) -> Int { obstacles.count { $0.intersection(place) != nil } }
        let free = places.first { place in
            obstacleCount(in: place) == 0 && plates.allSatisfy { $0.area.intersection(place) == nil }
        }
        return free ?? places.min { obstacleCount(in: $0) < obstacleCount(in: $1) }
    }

    private mutating func draw(_ plate: Plate) {
        canvas.fillRectangle(plate.area, color: plate.color)
        canvas.text(
            plate.text, typeface: typeface, left: plate.area.left + padding.horizontal,
            baseline: plate.area.top + padding.vertical + typeface.capitalHeight,
            color: plate.color.luminance > 0.5 ? .black : .white, limits: plate.area)
    }
}

extension Float {
    /// A share, 0...1, as `0.87`; NaN is 0.
    var twoDecimals: String {
        let hundredths = isNaN ? 0 : Int((min(max(self, 0), 1) * 100).rounded())
        return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
    }
}
