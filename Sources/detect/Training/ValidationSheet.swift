// The picture that shows what a detector in training finds: validation images side by side, with truth and predictions.

import Boxes
import Images
import Training

/// Images in a grid, each with its true boxes in black and white dashes, and what was found in the colours of the classes.
///
/// Images are drawn into their tile as they come, so that no large one is kept.
struct ValidationSheet {
    /// Of an image's place, in pixels.
    static let tileWidth = 320
    static let tileHeight = 240
    static let maximumColumns = 4

    private struct Tile {
        /// No larger than its place.
        let image: Image
        let name: String
    }

    /// Between tiles, in pixels.
    private static let gap = 16
    private static let dashLength = 5
    /// With more boxes than this, an image has thin lines, and small scores without names: colours say those.
    private static let crowdedCount = 8

    private let title: String
    private let classNames: [String]
    private var tiles: [Tile] = []
    /// The classes that occur.
    private var classIDs: Set<Int> = []
    private let style = PictureStyle()

    /// - Parameters:
    ///   - title: such as which step's weights found this.
    ///   - classNames: by class id, for the legend.
    init(title: String, classNames: [String]) {
        self.title = title
        self.classNames = classNames
    }

    /// Adds an image after those before it, shrunk or enlarged to fit its place.
    ///
    /// - Parameters:
    ///   - name: stands under it.
    ///   - truth: boxes in pixels of the image.
    ///   - detections: boxes in pixels of the image; all are drawn, so those of low scores had better be left out.
    mutating func add(_ name: String, image: Image, truth: [LabelledImage.Object], detections: [Detection]) {
        let scale = min(Float(Self.tileWidth) / Float(image.width), Float(Self.tileHeight) / Float(image.height))
        let width = min(max(Int((Float(image.width) * scale).rounded()), 1), Self.tileWidth)
        let height = min(max(Int((Float(image.height) * scale).rounded()), 1), Self.tileHeight)
        let (scaleX, scaleY) = (Float(width) / Float(image.width), Float(height) / Float(image.height))
        var canvas = Canvas(image.resized(width: width, height: height))
        let isCrowded = max(truth.count, detections.count) > Self.crowdedCount
        let style =
            isCrowded
            ? AnnotationStyle(lineWidth: 1, textSize: 10, showsLabels: false)
            : AnnotationStyle(lineWidth: 2, textSize: 12)
        // Wider than what is found, and under it: a box found exactly has a dashed edge to both sides, and labels stay readable.
        let trueWidth = isCrowded ? 3 : 4
        for object in truth {
            let box = object.box.scaled(width: scaleX, height: scaleY)
            guard let frame = canvas.frame(of: box, lineWidth: trueWidth) else { continue }
            canvas.dashRectangle(frame, lineWidth: trueWidth, dashLength: Self.dashLength, colors: (.white, .black))
        }
        let found = detections.map { detection in
            var detection = detection
            detection.box = detection.box.scaled(width: scaleX, height: scaleY)
            return detection
        }
        tiles.append(Tile(image: canvas.image.annotated(with: found, style: style), name: name.printable))
        classIDs.formUnion(truth.map(\.classID) + detections.map(\.classID))
    }

    /// The sheet: as many columns as there are images, from two to ``maximumColumns``, below title and legend.
    var image: Image {
        let columns = min(max(tiles.count, 2), Self.maximumColumns)
        let rows = max((tiles.count + columns - 1) / columns, 1)
        let headerHeight = style.titleText.capitalHeight + style.text.capitalHeight + 5 * style.gap
        let captionHeight = style.text.capitalHeight + style.gap
        let (stepX, stepY) = (Self.tileWidth + Self.gap, Self.tileHeight + captionHeight + Self.gap)
        var canvas = Canvas(
            width: 2 * style.margin + columns * stepX - Self.gap,
            height: 2 * style.margin + headerHeight + rows * stepY - Self.gap, color: style.ground)
        drawHeader(on: &canvas)
        if tiles.isEmpty {
            canvas.text(
                "no validation images", typeface: style.text, at: canvas.width / 2, baseline: canvas.height / 2,
                alignment: .center, color: style.quietInk)
        }
        for (index, tile) in tiles.enumerated() {
            let left = style.margin + index % columns * stepX
            let top = style.margin + headerHeight + index / columns * stepY
            draw(tile, on: &canvas, left: left, top: top)
        }
        return canvas.image
    }

    private func draw(_ tile: Tile, on canvas: inout Canvas, left: Int, top: Int) {
        canvas.fillRectangle(
            PixelRectangle(left: left, top: top, right: left + Self.tileWidth, bottom: top + Self.tileHeight),
            color: style.emptyGround)
        canvas.paste(
            tile.image, left: left + (Self.tileWidth - tile.image.width) / 2,
            top: top + (Self.tileHeight - tile.image.height) / 2)
        canvas.text(
            style.text.fitted(tile.name, width: Self.tileWidth), typeface: style.text, at: left,
            baseline: top + Self.tileHeight + style.gap + style.text.capitalHeight, color: style.quietInk)
    }

    /// The title, and below it what the lines mean: truth, then the classes by id as far as there is room.
    private func drawHeader(on canvas: inout Canvas) {
        let right = canvas.width - style.margin
        var baseline = style.margin + style.titleText.capitalHeight
        canvas.text(
            style.titleText.fitted(title.printable, width: right - style.margin), typeface: style.titleText,
            at: style.margin, baseline: baseline, color: style.ink)
        baseline += 2 * style.gap + style.text.capitalHeight
        var pen = style.margin
        let side = style.text.capitalHeight
        func swatch(_ width: Int) -> PixelRectangle {
            PixelRectangle(left: pen, top: baseline - side, right: pen + width, bottom: baseline)
        }
        canvas.dashRectangle(
            swatch(2 * side), lineWidth: 4, dashLength: Self.dashLength, colors: (.white, .black))
        pen += 2 * side + style.gap
        canvas.text("truth", typeface: style.text, at: pen, baseline: baseline, color: style.ink)
        pen += style.text.width(of: "truth") + 3 * style.gap
        let classes = classIDs.sorted()
        for (index, classID) in classes.enumerated() {
            let name = classNames.indices.contains(classID) ? classNames[classID].printable : "\(classID)"
            let rest = "and \(classes.count - index) more"
            let end = pen + side + style.gap + style.text.width(of: name)
            let reserve = index + 1 < classes.count ? 3 * style.gap + style.text.width(of: rest) : 0
            guard end + reserve <= right else {
                canvas.text(rest, typeface: style.text, at: pen, baseline: baseline, color: style.quietInk)
                return
            }
            canvas.fillRectangle(swatch(side), color: ClassColors.color(ofClass: classID))
            canvas.text(name, typeface: style.text, at: pen + side + style.gap, baseline: baseline, color: style.ink)
            pen = end + 3 * style.gap
        }
    }
}
