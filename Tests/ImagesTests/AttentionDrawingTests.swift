import Boxes
import Images
import TestSupport
import Testing

/// What the picture of a detection's sampling points shows.
@Suite struct AttentionDrawingTests {
    private let image = Image(width: 1200, height: 900, gray: 90)
    private let style = AnnotationStyle(lineWidth: 2, showsLabels: false, showsScores: false)

    private func detection(_ box: CornerBox = CornerBox(xMin: 360, yMin: 240, xMax: 840, yMax: 660)) -> Detection {
        Detection(classID: 3, label: "cat", score: 0.9, box: box)
    }

    private func attention(
        reference: (Float, Float) = (600, 450), _ points: [(x: Float, y: Float, weight: Float)]
    ) -> DetectionAttention {
        DetectionAttention(
            reference: DetectionAttention.Position(x: reference.0, y: reference.1),
            points: points.enumerated().map { index, point in
                DetectionAttention.SamplingPoint(
                    position: DetectionAttention.Position(x: point.x, y: point.y), level: index % 4, head: index / 4,
                    weight: point.weight)
            })
    }

    private func bytes(_ color: Color) -> [UInt8] { [color.red, color.green, color.blue] }

    @Test func coloursRunFromBlueToRed() {
        let colors = [0, 0.25, 0.5, 0.75, 1].map { WeightColors.color(ofShare: $0) }
        #expect(colors.map(bytes) == [0x1F3DFF, 0x00BFFF, 0xFFE600, 0xFF8000, 0xF00018].map { bytes(Color($0)) })
        #expect(WeightColors.color(ofShare: 0.125) == colors[0].mixed(with: colors[1], share: 0.5))
        for share in [-Float.infinity, -1, .nan] { #expect(WeightColors.color(ofShare: share) == colors[0]) }
        for share in [Float.infinity, 2] { #expect(WeightColors.color(ofShare: share) == colors[4]) }
    }

    @Test func pointsHaveTheColourOfTheirShareOfTheLargest() {
        let weights: [Float] = [0.4, 0, 0.1, 0.2, 0.3]
        let points = weights.enumerated().map { (x: 390 + 90 * Float($0) + 0.5, y: Float(300.5), weight: $1) }
        let drawn = image.annotated(with: detection(), attention: attention(points), style: style)
        for (index, weight) in weights.enumerated() {
            let color = WeightColors.color(ofShare: weight / 0.4)
            #expect(drawn.color(390 + 90 * index, 300) == bytes(color))
            // In a dark ring.
            let around = (0...9).map { drawn.color(390 + 90 * index + $0, 300) }
            #expect(around.contains { $0.allSatisfy { $0 < 40 } })
        }
        // The box as in the annotated copy.
        let framed = image.annotated(with: [detection()], style: style)
        for (column, row) in [(360, 450), (840, 450), (600, 240), (600, 660)] {
            #expect(drawn.color(column, row) == framed.color(column, row) && drawn.color(column, row) != [90, 90, 90])
        }
    }

    @Test func largeWeightsLieOnTopWhateverTheOrder() {
        let points: [(x: Float, y: Float, weight: Float)] = [(450.5, 360.5, 0.9), (452, 360, 0.1), (451, 361, 0.4)]
        let drawn = [points, points.reversed()].map {
            image.annotated(with: detection(), attention: attention($0), style: style)
        }
        #expect(drawn[0] == drawn[1])
        #expect(drawn[0].color(450, 360) == bytes(WeightColors.color(ofShare: 1)))
    }

    @Test(arguments: [0, 90, 255]) func theReferenceShowsOnAnyGround(_ gray: UInt8) {
        let image = Image(width: 1200, height: 900, gray: gray)
        // A dot below the cross.
        let drawn = image.annotated(
            with: detection(), attention: attention(reference: (600.5, 450.5), [(600.5, 450.5, 0.5)]), style: style)
        for arm in [(570...600).map { drawn.color($0, 450) }, (420...450).map { drawn.color(600, $0) }] {
            #expect(arm.last == [0x00, 0xE8, 0x3A])
            // Black and white edges: at least one of them differs from the ground.
            #expect(arm.contains { $0.allSatisfy { $0 < 40 } } && arm.contains { $0.allSatisfy { $0 > 220 } })
        }
    }

    @Test func theScaleGoesToAnEmptyCorner() {
        func whiteCorner(_ points: [(x: Float, y: Float, weight: Float)]) -> [Bool] {
            let drawn = image.annotated(with: detection(), attention: attention(points), style: style)
            return [(1187, 887), (14, 887), (1187, 14), (14, 14)].map { x, y in
                (-4...4).contains { drawn.color(x + $0, y) == [255, 255, 255] }
            }
        }
        #expect(whiteCorner([(600, 300, 0.5)]) == [true, false, false, false])
        #expect(whiteCorner([(1080, 870, 0.5)]) == [false, true, false, false])
        #expect(whiteCorner([(1080, 870, 0.5), (120, 870, 0.5)]) == [false, false, true, false])
        // No weights, no scale.
        #expect(whiteCorner([]) == [false, false, false, false])
        #expect(whiteCorner([(600, 300, 0)]) == [false, false, false, false])
    }

    @Test func labelsGetOutOfTheWayOfPoints() {
        let labelled = AnnotationStyle(lineWidth: 2, textSize: 14)
        let plate = bytes(ClassColors.color(ofClass: 3))
        func hasPlate(_ points: [(x: Float, y: Float, weight: Float)], column: Int, row: Int) -> Bool {
            let drawn = image.annotated(with: detection(), attention: attention(points), style: labelled)
            return drawn.color(column, row) == plate
        }
        #expect(hasPlate([], column: 362, row: 232))
        #expect(!hasPlate([(380, 232, 1)], column: 362, row: 232))
        #expect(hasPlate([(380, 232, 1)], column: 838, row: 232))
    }

    @Test func strangeNumbersAreSafe() {
        let values: [Float] = [
            .nan, .infinity, -.infinity, 0, -0.0, 0.4, 5, -5, 1e9, -1e9, .greatestFiniteMagnitude,
            -.greatestFiniteMagnitude, .leastNonzeroMagnitude,
        ]
        var generator = SeededGenerator(seed: 5)
        func any() -> Float { values.randomElement(using: &generator) ?? 0 }
        for (width, height) in [(1, 1), (1, 50), (50, 1), (9, 9), (40, 30), (300, 200)] {
            let image = Image(width: width, height: height, gray: 90)
            for size in [nil, Int.min, 0, 1, Int.max] {
                let drawn = image.annotated(
                    with: detection(CornerBox(xMin: any(), yMin: any(), xMax: any(), yMax: any())),
                    attention: attention(reference: (any(), any()), (0..<80).map { _ in (any(), any(), any()) }),
                    style: AnnotationStyle(lineWidth: size, textSize: size))
                #expect(drawn.width == width && drawn.height == height)
            }
        }
        // What is not a number, or far outside, leaves no trace.
        let outside = attention(
            reference: (-90, -90),
            [
                (.nan, 10, 0.5), (10, .nan, 0.5), (1e9, 10, 0.5), (10, -.infinity, 0.5), (9, 9, .nan),
                (10, 10, .infinity),
            ])
        let drawn = image.annotated(with: detection(), attention: outside, style: style)
        let framed = image.annotated(with: [detection()], style: style)
        // But for the scale, in the bottom right corner.
        let above = 800 * 1200 * 3
        #expect(drawn.pixels[..<above] == framed.pixels[..<above])
    }
}
