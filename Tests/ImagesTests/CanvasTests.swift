import Images
import Testing

/// The primitives of drawing.
@Suite struct CanvasTests {
    @Test func fillingBlendsByOpacity() {
        var canvas = Canvas(Image(width: 4, height: 3, gray: 0))
        canvas.fillRectangle(PixelRectangle(left: 1, top: 1, right: 3, bottom: 2), color: .white)
        canvas.fillRectangle(PixelRectangle(left: 3, top: 0, right: 9, bottom: 1), color: .white, opacity: 0.5)
        let expected: [UInt8] = [0, 0, 0, 128, 0, 255, 255, 0, 0, 0, 0, 0]
        #expect(canvas.image.pixels == expected.flatMap { [$0, $0, $0] })
    }

    @Test(arguments: [1, 2, 3, 50])
    func aFrameTouchesEachOfItsPixelsOnce(_ lineWidth: Int) {
        var canvas = Canvas(Image(width: 20, height: 16, gray: 0))
        let frame = PixelRectangle(left: 3, top: 2, right: 16, bottom: 13)
        canvas.strokeRectangle(frame, lineWidth: lineWidth, color: .white, opacity: 0.5)
        for row in 0..<16 {
            for column in 0..<20 {
                let depth = min(column - frame.left, frame.right - 1 - column, row - frame.top, frame.bottom - 1 - row)
                let isFrame = depth >= 0 && depth < lineWidth
                #expect(canvas.image.color(column, row) == [UInt8](repeating: isFrame ? 128 : 0, count: 3))
            }
        }
    }

    @Test func aDiscHasItsArea() {
        for radius in [Float(0.5), 2, 7.3, 20] {
            var canvas = Canvas(Image(width: 64, height: 64, gray: 0))
            canvas.disc(center: (31.7, 32.2), radius: radius, color: .white)
            let area = canvas.image.pixels.reduce(Float(0)) { $0 + Float($1) / 255 / 3 }
            // Coverage by distance is exact for straight edges only.
            #expect(abs(area - .pi * radius * radius) < 0.3 + 0.02 * area, "radius \(radius): \(area)")
        }
    }

    @Test func aLineCoversItsLengthTimesWidth() {
        for (start, end) in [((10, 10), (50, 10)), ((10, 10), (10, 50)), ((8, 12), (55, 40)), ((50, 60), (12, 5))] {
            var canvas = Canvas(Image(width: 64, height: 64, gray: 0))
            let (x, y) = (Float(end.0 - start.0), Float(end.1 - start.1))
            canvas.line(
                from: (Float(start.0), Float(start.1)), to: (Float(end.0), Float(end.1)), width: 3, color: .white)
            let area = canvas.image.pixels.reduce(Float(0)) { $0 + Float($1) / 255 / 3 }
            let expected = (x * x + y * y).squareRoot() * 3 + .pi * 1.5 * 1.5
            #expect(abs(area - expected) < 0.04 * expected)
        }
    }

    @Test func aPolylineLaysItsColourOnOnce() {
        let limits = PixelRectangle(left: 2, top: 0, right: 64, bottom: 64)
        let points: [(x: Float, y: Float)] = [(8, 32), (56, 32), (8, 32), (32, 8), (32, 56), (.nan, 3)]
        var canvas = Canvas(width: 64, height: 64, color: .black)
        canvas.polyline(through: points, width: 4, color: .white, opacity: 0.5, limits: limits)
        // Half covered by opacity alone, however often it is crossed.
        #expect((0..<64).allSatisfy { row in (0..<64).allSatisfy { canvas.image.color($0, row)[0] <= 128 } })
        #expect(canvas.image.color(32, 32) == [128, 128, 128] && canvas.image.color(20, 31) == [128, 128, 128])

        // Of two points: the same as a line, where the limits are.
        var line = Canvas(width: 64, height: 64, color: .black)
        line.line(from: (-5, 3), to: (50, 40.5), width: 3, color: .white)
        canvas = Canvas(width: 64, height: 64, color: .black)
        canvas.polyline(through: [(-5, 3), (50, 40.5)], width: 3, color: .white, limits: limits)
        for row in 0..<64 {
            for column in 0..<64 {
                #expect(canvas.image.color(column, row) == (column < 2 ? [0, 0, 0] : line.image.color(column, row)))
            }
        }
        canvas.polyline(through: [], width: 3, color: .white, limits: limits)
        canvas.polyline(through: [(.infinity, 1e9), (-1e9, 3)], width: 3, color: .white, limits: canvas.bounds)
    }

    @Test func dashesAlternateAroundTheFrame() {
        var canvas = Canvas(width: 30, height: 20, color: Color(0x808080))
        let frame = PixelRectangle(left: 3, top: 2, right: 99, bottom: 15)
        canvas.dashRectangle(frame, lineWidth: 2, dashLength: 3, colors: (.black, .white))
        for row in 0..<20 {
            for column in 0..<30 {
                let depth = min(column - frame.left, frame.right - 1 - column, row - frame.top, frame.bottom - 1 - row)
                let expected: UInt8 = 0..<2 ~= depth ? ((column + row) / 3 % 2 == 0 ? 0 : 255) : 128
                #expect(canvas.image.color(column, row) == [expected, expected, expected])
            }
        }
    }

    @Test func pastingKeepsToTheCanvas() {
        let image = Image(width: 5, height: 4, seed: 3)
        for (left, top) in [(2, 1), (-2, -1), (4, 3), (-9, 0), (0, 90)] {
            var canvas = Canvas(width: 7, height: 6, color: .black)
            canvas.paste(image, left: left, top: top)
            for row in 0..<6 {
                for column in 0..<7 {
                    let isInside = 0..<5 ~= column - left && 0..<4 ~= row - top
                    #expect(
                        canvas.image.color(column, row)
                            == (isInside ? image.color(column - left, row - top) : [0, 0, 0]))
                }
            }
        }
    }

    @Test func textIsAlignedAndShortened() {
        let typeface = Typeface(pixelSize: 16)
        let width = typeface.width(of: "letters")
        #expect(typeface.fitted("letters", width: width) == "letters")
        let shorter = typeface.fitted("letters", width: width - 1)
        #expect(shorter.hasSuffix("\u{2026}") && "letters".hasPrefix(shorter.dropLast()))
        #expect(typeface.width(of: shorter) < width && typeface.fitted("letters", width: 3).isEmpty)
        let drawn = [(Canvas.TextAlignment.left, 20), (.center, 20 + width / 2), (.right, 20 + width)].map {
            var canvas = Canvas(width: 120, height: 40, color: .white)
            canvas.text("letters", typeface: typeface, at: $1, baseline: 30, alignment: $0, color: .black)
            return canvas.image
        }
        #expect(drawn[0] == drawn[1] && drawn[0] == drawn[2] && drawn[0].pixels.contains { $0 < 50 })
    }

    @Test func anythingOutsideIsCutOff() {
        let values: [Float] = [.nan, .infinity, -.infinity, 0, 3.5, -3.5, 1e9, -1e9, .greatestFiniteMagnitude]
        var canvas = Canvas(Image(width: 5, height: 4, gray: 10))
        let typeface = Typeface(pixelSize: 12)
        for first in values {
            for second in values {
                canvas.line(from: (first, second), to: (second, first), width: 2, color: .white, opacity: 0.1)
                canvas.line(from: (0, first), to: (second, 2), width: second, color: .white, opacity: 0.1)
                canvas.disc(center: (first, second), radius: abs(first), color: .white, opacity: 0.1)
            }
        }
        for place in [-1_000_000, -3, 0, 3, 1_000_000] {
            canvas.text(
                "Äg", typeface: typeface, left: place, baseline: place, color: .black,
                limits: PixelRectangle(left: -9, top: -9, right: 99, bottom: 99))
            canvas.fillRectangle(
                PixelRectangle(left: place, top: place, right: 2 * place, bottom: 2 * place), color: .white)
        }
        #expect(canvas.image.width == 5)
    }

    @Test func lettersHaveShapeAndLackingOnesABox() {
        let typeface = Typeface(pixelSize: 40)
        for letter in ["A", "g", "Ü", "ß", "ł", "Ω", "Ж", "…"] {
            let glyph = typeface.layout(letter)[0].glyph
            #expect(Self.ink(letter, typeface) > 50 && !Self.isBox(letter, typeface), "\(letter): \(glyph)")
        }
        #expect(Self.ink(" ", typeface) == 0)
        #expect(Self.isBox("日", typeface) && Self.isBox("👍", typeface))
        #expect(typeface.width(of: "") == 0)
        #expect(typeface.width(of: "WW") == 2 * typeface.width(of: "W"))
    }

    private static func drawn(_ text: String, _ typeface: Typeface) -> [UInt8] {
        var canvas = Canvas(Image(width: 80, height: 80, gray: 0))
        canvas.text(text, typeface: typeface, left: 10, baseline: 60, color: .white, limits: canvas.bounds)
        return canvas.image.pixels
    }

    /// White pixels.
    private static func ink(_ text: String, _ typeface: Typeface) -> Int {
        drawn(text, typeface).count { $0 > 128 } / 3
    }

    private static func isBox(_ text: String, _ typeface: Typeface) -> Bool {
        drawn(text, typeface) == drawn("\u{E000}", typeface)
    }
}
