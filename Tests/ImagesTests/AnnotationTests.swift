import Boxes
import Images
import TestSupport
import Testing

/// Where drawing changes pixels and where it must not.
@Suite struct AnnotationTests {
    static func detection(
        _ box: (Float, Float, Float, Float), classID: Int = 0, label: String = "cat", score: Float = 0.87
    ) -> Detection {
        Detection(
            classID: classID, label: label, score: score,
            box: CornerBox(xMin: box.0, yMin: box.1, xMax: box.2, yMax: box.3))
    }

    @Test func theFrameHasTheClassColourAndTheInsideStays() {
        let image = Image(width: 300, height: 200, gray: 90)
        let style = AnnotationStyle(lineWidth: 4, showsLabels: false, showsScores: false)
        let drawn = image.annotated(with: [Self.detection((100, 50, 200, 150), classID: 3)], style: style)
        let color = ClassColors.color(ofClass: 3)
        let frame = [color.red, color.green, color.blue]
        for (column, row) in [(98, 48), (101, 100), (150, 51), (201, 151), (150, 148), (198, 100)] {
            #expect(drawn.color(column, row) == frame, "column \(column), row \(row)")
        }
        for (column, row) in [(97, 100), (102, 100), (150, 52), (150, 147), (150, 47), (202, 100), (150, 152)] {
            #expect(drawn.color(column, row) == [90, 90, 90], "column \(column), row \(row)")
        }
    }

    @Test func theLabelStandsAboveItsFrame() {
        let image = Image(width: 300, height: 200, gray: 90)
        let style = AnnotationStyle(lineWidth: 2, textSize: 14)
        let drawn = image.annotated(with: [Self.detection((50, 60, 250, 150), classID: 1)], style: style)
        let plate = ClassColors.color(ofClass: 1)
        #expect(drawn.color(50, 57) == [plate.red, plate.green, plate.blue])
        let colors = Self.colors(of: drawn, in: PixelRectangle(left: 49, top: 42, right: 120, bottom: 59))
        // Plate, letters and the shades between them.
        #expect(colors.contains([0, 0, 0]) || colors.contains([255, 255, 255]))
        #expect(colors.count > 10)
        #expect(Self.colors(of: drawn, in: PixelRectangle(left: 0, top: 0, right: 300, bottom: 40)) == [[90, 90, 90]])
    }

    @Test(arguments: [(0, 0, 60, 60), (240, 0, 300, 60), (0, 0, 300, 200), (200, 150, 300, 200), (-50, -50, 400, 400)])
    func labelsAtTheEdgeStayInTheImage(_ box: (Int, Int, Int, Int)) {
        let image = Image(width: 300, height: 200, gray: 90)
        let style = AnnotationStyle(lineWidth: 2, textSize: 14)
        let bounds = (Float(box.0), Float(box.1), Float(box.2), Float(box.3))
        let bare = image.annotated(
            with: [Self.detection(bounds)], style: AnnotationStyle(lineWidth: 2, showsLabels: false, showsScores: false)
        )
        let drawn = image.annotated(with: [Self.detection(bounds)], style: style)
        let difference = (0..<200).flatMap { row in (0..<300).map { ($0, row) } }
            .filter { drawn.color($0.0, $0.1) != bare.color($0.0, $0.1) }
        // A whole plate: nothing of it was cut off.
        let width = (difference.map(\.0).max() ?? 0) - (difference.map(\.0).min() ?? 0) + 1
        let height = (difference.map(\.1).max() ?? 0) - (difference.map(\.1).min() ?? 0) + 1
        let typeface = Typeface(pixelSize: 14)
        #expect(width > typeface.width(of: "cat 0.87") && width < 100)
        #expect(height > typeface.capitalHeight && height < 24)
    }

    @Test func stylesDecideWhatIsWritten() {
        let image = Image(width: 300, height: 200, gray: 90)
        var drawn: Set<[UInt8]> = []
        for labels in [false, true] {
            for scores in [false, true] {
                let style = AnnotationStyle(showsLabels: labels, showsScores: scores)
                drawn.insert(image.annotated(with: [Self.detection((50, 60, 250, 150))], style: style).pixels)
            }
        }
        #expect(drawn.count == 4)
    }

    @Test func overlappingLabelsMakeRoom() {
        let image = Image(width: 300, height: 200, gray: 90)
        let style = AnnotationStyle(lineWidth: 1, textSize: 14)
        let first = Self.detection((50, 60, 200, 150), score: 0.9)
        let second = Self.detection((52, 61, 201, 151), classID: 1, score: 0.8)
        let alone = image.annotated(with: [first], style: style)
        let both = image.annotated(with: [first, second], style: style)
        // The better one's plate is untouched.
        let plate = PixelRectangle(left: 50, top: 43, right: 110, bottom: 58)
        for row in plate.top..<plate.bottom {
            for column in plate.left..<plate.right { #expect(both.color(column, row) == alone.color(column, row)) }
        }
    }

    @Test func theOrderOfDetectionsDoesNotMatterUnlessTheyTie() {
        let image = Image(width: 300, height: 200, seed: 3)
        let detections = (0..<12).map { index in
            let start = Float(index * 13)
            return Self.detection(
                (start, start / 2, start + 90, start / 2 + 60), classID: index, score: 0.3 + Float(index) / 20)
        }
        #expect(image.annotated(with: detections) == image.annotated(with: detections.reversed()))
    }

    @Test func strangeDetectionsAreSafe() {
        let values: [Float] = [
            .nan, .infinity, -.infinity, 0, -0.0, 0.4, 5, -5, 1e9, -1e9, .greatestFiniteMagnitude,
            -.greatestFiniteMagnitude, .leastNonzeroMagnitude,
        ]
        var generator = SeededGenerator(seed: 4)
        let labels = ["", "cat", "日本語", "a\nb\u{0}", String(repeating: "e\u{301}", count: 5000), "\u{10FFFF}", "👨‍👩‍👧"]
        for (width, height) in [(1, 1), (1, 50), (50, 1), (9, 9), (40, 30), (300, 200)] {
            let image = Image(width: width, height: height, gray: 90)
            let detections = (0..<150).map { _ in
                let box = (0..<4).map { _ in values.randomElement(using: &generator) ?? 0 }
                return Self.detection(
                    (box[0], box[1], box[2], box[3]),
                    classID: [.min, .max, -1, 0, 7].randomElement(using: &generator) ?? 0,
                    label: labels.randomElement(using: &generator) ?? "",
                    score: values.randomElement(using: &generator) ?? 0)
            }
            for size in [nil, Int.min, 0, 1, Int.max] {
                let style = AnnotationStyle(lineWidth: size, textSize: size)
                let drawn = image.annotated(with: detections, style: style)
                #expect(drawn.width == width && drawn.height == height)
            }
        }
    }

    @Test func aHundredClassesHaveDifferentColours() {
        #expect(Set((0..<100).map(ClassColors.color)).count == 100)
        #expect(ClassColors.color(ofClass: 5) == ClassColors.color(ofClass: 105))
    }

    private static func colors(of image: Image, in area: PixelRectangle) -> Set<[UInt8]> {
        var colors: Set<[UInt8]> = []
        for row in area.top..<area.bottom {
            for column in area.left..<area.right { colors.insert(image.color(column, row)) }
        }
        return colors
    }
}
