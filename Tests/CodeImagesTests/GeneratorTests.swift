import Boxes
import CodeImages
import Images
import Synchronization
import TestSupport
import Tensors
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

@Suite struct GeneratorTests {
    private static let small = CodeImageGenerator(seed: 11, options: .init(longerSide: 240...640))

    @Test func sameNumberSameImageOnAnyThread() throws {
        let generator = CodeImageGenerator(seed: 5, options: .init(longerSide: 160...240))
        let numbers = Array(0..<12)
        let inOrder = try numbers.map { try generator.image($0) }
        let drawn = Mutex<[Int: (Image, [CodeAnnotation])]>([:])
        Parallel.forRanges(numbers.count) { range in
            for number in range.reversed() {
                guard let result = try? generator.image(number) else { continue }
                drawn.withLock { $0[number] = (result.image, result.annotations) }
            }
        }
        for number in numbers {
            let other = try #require(drawn.withLock { $0[number] })
            #expect(other.0 == inOrder[number].image, "image \(number)")
            #expect(other.1 == inOrder[number].annotations, "image \(number)")
        }
        let otherSeed = try CodeImageGenerator(seed: 6, options: generator.options).image(0)
        #expect(otherSeed.image != inOrder[0].image)
    }

    @Test func annotationsAreWhatTheyClaim() throws {
        var counts: [CodeKind: Int] = [:]
        var (empty, several, large, small, ignored) = (0, 0, 0, 0, 0)
        let total = 250
        for number in 0..<total {
            let (image, annotations) = try Self.small.image(number)
            #expect(Self.small.options.longerSide.contains(max(image.width, image.height)))
            let (width, height) = (Float(image.width), Float(image.height))
            for annotation in annotations {
                let box = annotation.box
                #expect(box.xMin >= 0 && box.yMin >= 0 && box.xMax <= width && box.yMax <= height, "\(box)")
                #expect((0...1).contains(annotation.visibleShare))
                #expect(!annotation.content.isEmpty)
                guard !annotation.isIgnored else {
                    ignored += 1
                    continue
                }
                counts[annotation.kind, default: 0] += 1
                #expect(min(box.width, box.height) >= CodeImageGenerator.minimumShorterSide, "\(box)")
                #expect(max(box.width, box.height) >= CodeImageGenerator.minimumLongerSide, "\(box)")
                #expect(annotation.visibleShare >= CodeImageGenerator.minimumVisibleShare)
                let share = max(box.width / width, box.height / height)
                if share > 0.5 { large += 1 }
                if share < 0.15 { small += 1 }
            }
            if annotations.isEmpty { empty += 1 }
            if annotations.count(where: { !$0.isIgnored }) > 1 { several += 1 }
        }
        let codes = counts.values.reduce(0, +)
        // Wide bounds: they say that no sort of image has gone missing, not what the shares are.
        for kind in CodeKind.allCases { #expect((counts[kind] ?? 0) * 14 > codes, "\(kind): \(counts)") }
        #expect(codes > total && codes < 4 * total, "\(codes)")
        #expect(empty * 40 > total && empty * 4 < total, "\(empty)")
        #expect(several * 8 > total, "\(several)")
        #expect(large * 12 > codes, "\(large) of \(codes)")
        // In images as small as these, few codes are small and still have their modules.
        #expect(small * 50 > codes, "\(small) of \(codes)")
        #expect(ignored > 0 && ignored * 4 < codes, "\(ignored) beside \(codes)")
    }

    /// What a copier or glare wipes out is no longer legible; noise hides it only when it is stronger than the ink.
    @Test(arguments: CodeKind.allCases)
    func legibilityFollowsTheInk(_ kind: CodeKind) throws {
        /// - Parameter level: the new level, 0...255, from the old one and the column and row within the box.
        func share(_ number: Int, _ level: (_ old: Int, _ column: Int, _ row: Int) -> Int) throws -> Float {
            try Self.small.legibleShare(number, kind: kind) { printed, box in
                var pixels = printed.pixels
                let (left, top) = (Int(box.xMin), Int(box.yMin))
                for row in 0..<Int(box.yMax) - top {
                    for column in 0..<Int(box.xMax) - left {
                        let index = 3 * ((top + row) * printed.width + left + column)
                        let level = UInt8(clamping: level(Int(pixels[index + 1]), column, row))
                        for channel in 0..<3 { pixels[index + channel] = level }
                    }
                }
                return Image(width: printed.width, height: printed.height, pixels: pixels)
            }
        }
        for number in 0..<4 {
            var random = SeededGenerator(seed: UInt64(number))
            let noise = (0..<1024).map { _ in Int.random(in: -1000...1000, using: &random) }
            func grain(_ column: Int, _ row: Int) -> Int { noise[(column &* 7 &+ row &* 61) & 1023] }
            #expect(try share(number) { old, _, _ in old } > 0.97)
            #expect(try share(number) { old, _, _ in old / 4 } > 0.9, "dark")
            #expect(try share(number) { old, column, row in old + grain(column, row) / 20 } > 0.9, "grainy")
            #expect(try share(number) { _, _, _ in 255 } == 0, "white")
            #expect(try share(number) { old, _, _ in 200 + old / 80 } < 0.1, "glare")
            #expect(try share(number) { old, column, row in old / 16 + 110 + grain(column, row) / 5 } < 0.3, "noise")
            #expect(try share(number) { old, column, row in column + row < 50 ? old : 255 } < 0.7, "only a corner left")
        }
    }

    /// Rows of noise against single points, with cells of the grid from far larger to far smaller than a pixel.
    @Test(arguments: [0.3, 0.97, 1, 2.5, 17, 400] as [Float])
    func noiseOfRowsIsThatOfPoints(_ wavelength: Float) {
        for row in [0, 1, 63, 700] {
            let seed = UInt64(row)
            let (ofRow, ofPoints) = CodeImageGenerator.noise(
                seed: seed, wavelength: [wavelength, wavelength * 2], row: row, count: 517)
            // Places up to 64 + 517 / 0.075 cells have a rounding error of 2^-11 cells, where the slope is 3 at most.
            for (index, (fast, plain)) in zip(ofRow, ofPoints).enumerated() {
                #expect(abs(fast - plain) < 0.005, "row \(row), column \(index)")
            }
        }
    }

    /// The rows' intervals against the distance at every centre.
    @Test func polygonsRowsAreTheirInsides() throws {
        var random = SeededGenerator(seed: 4)
        for sides in [3, 4, 5, 12] {
            for _ in 0..<50 {
                let center = SIMD2<Float>(.random(in: -5...45, using: &random), .random(in: -5...45, using: &random))
                let radius = Float.random(in: 0.5...30, using: &random)
                let turn = Float.random(in: 0...6.3, using: &random)
                let corners = (0..<sides).map { side in
                    let angle = turn + 6.283_185 * Float(side) / Float(sides)
                    return center + SIMD2(cos(angle), sin(angle) * 0.6) * radius
                }
                let polygon = try #require(ConvexPolygon(corners))
                for row in 0..<40 {
                    for reach: Float in [0, 0.5, 3, -0.5] {
                        let columns = polygon.columns(at: Float(row) + 0.5, within: reach, among: 0..<40)
                        for column in 0..<40 {
                            let distance = polygon.distance(to: [Float(column) + 0.5, Float(row) + 0.5])
                            // Rounding decides what lies on the edge itself.
                            guard abs(distance - reach) > 1e-3 else { continue }
                            #expect(columns.contains(column) == (distance < reach), "\(corners) \(column) \(row)")
                        }
                    }
                }
            }
        }
        #expect(ConvexPolygon([[0, 0], [1, 1]]) == nil)
        #expect(ConvexPolygon([[2, 2], [2, 2], [2, 2], [2, 2]]) == nil)
    }

    @Test(arguments: CodeKind.allCases)
    func plainSymbolsFillTheirBoxes(_ kind: CodeKind) throws {
        for number in 0..<12 {
            let (image, annotation) = try Self.small.plainImage(number, kind: kind)
            let inked = try #require(Self.bounds(image) { $0 < 128 })
            // Antialiasing and rounding to whole pixels.
            #expect(abs(inked.xMin - annotation.box.xMin) <= 1.5, "\(annotation)")
            #expect(abs(inked.yMin - annotation.box.yMin) <= 1.5, "\(annotation)")
            #expect(abs(inked.xMax - annotation.box.xMax) <= 1.5, "\(annotation)")
            #expect(abs(inked.yMax - annotation.box.yMax) <= 1.5, "\(annotation)")
        }
    }

    @Test(arguments: CodeKind.allCases)
    func tiltedSymbolsFillTheirBoxes(_ kind: CodeKind) throws {
        for number in 0..<12 {
            let (printed, blank, annotations) = try Self.small.tiltedImages(number, kind: kind)
            let annotation = try #require(annotations.first)
            #expect(annotations.count == 1)
            #expect(annotation.visibleShare > 0.97, "\(annotation.visibleShare)")
            let difference = Image(
                width: printed.width, height: printed.height,
                pixels: zip(printed.pixels, blank.pixels).map { 255 - ($0 > $1 ? $0 - $1 : $1 - $0) })
            let inked = try #require(Self.bounds(difference) { $0 < 200 })
            let box = annotation.box
            // Nothing outside; inside, corners may be light: a turned symbol's box then has up to two modules, here at
            // most an eleventh of its side, without ink.
            let slack = 2 + 0.2 * min(box.width, box.height)
            #expect(inked.xMin >= box.xMin - 1.5 && inked.xMin <= box.xMin + slack, "\(number) \(box) \(inked)")
            #expect(inked.yMin >= box.yMin - 1.5 && inked.yMin <= box.yMin + slack, "\(number) \(box) \(inked)")
            #expect(inked.xMax <= box.xMax + 1.5 && inked.xMax >= box.xMax - slack, "\(number) \(box) \(inked)")
            #expect(inked.yMax <= box.yMax + 1.5 && inked.yMax >= box.yMax - slack, "\(number) \(box) \(inked)")
        }
    }

    /// The box of the pixels whose red is as asked for; nil where none is.
    private static func bounds(_ image: Image, where isWanted: (UInt8) -> Bool) -> CornerBox? {
        var (left, top, right, bottom) = (image.width, image.height, -1, -1)
        for row in 0..<image.height {
            for column in 0..<image.width where isWanted(image.pixels[(row * image.width + column) * 3]) {
                (left, right) = (min(left, column), max(right, column + 1))
                (top, bottom) = (min(top, row), max(bottom, row + 1))
            }
        }
        return right < 0
            ? nil : CornerBox(xMin: Float(left), yMin: Float(top), xMax: Float(right), yMax: Float(bottom))
    }
}
