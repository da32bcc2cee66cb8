import Boxes
import CodeImages
import Images
import Synchronization
import TestSupport
import Tensors
import Testing

@Suite struct GeneratorTests {
    private static let small = CodeImageGenerator(seed: 11, options: .init(longerSide: 200...400))

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
        var (empty, several, large, small) = (0, 0, 0, 0)
        let total = 250
        for number in 0..<total {
            let (image, annotations) = try Self.small.image(number)
            #expect(Self.small.options.longerSide.contains(max(image.width, image.height)))
            let (width, height) = (Float(image.width), Float(image.height))
            for annotation in annotations {
                counts[annotation.kind, default: 0] += 1
                let box = annotation.box
                #expect(box.xMin >= 0 && box.yMin >= 0 && box.xMax <= width && box.yMax <= height, "\(box)")
                #expect(min(box.width, box.height) >= CodeImageGenerator.minimumBoxSide - 0.01, "\(box)")
                #expect((CodeImageGenerator.minimumVisibleShare...1).contains(annotation.visibleShare))
                #expect(!annotation.content.isEmpty)
                let share = max(box.width / width, box.height / height)
                if share > 0.5 { large += 1 }
                if share < 0.15 { small += 1 }
            }
            if annotations.isEmpty { empty += 1 }
            if annotations.count > 1 { several += 1 }
        }
        let codes = counts.values.reduce(0, +)
        // Wide bounds: they say that no sort of image has gone missing, not what the shares are.
        for kind in CodeKind.allCases { #expect((counts[kind] ?? 0) * 14 > codes, "\(kind): \(counts)") }
        #expect(codes > total && codes < 4 * total, "\(codes)")
        #expect(empty * 40 > total && empty * 4 < total, "\(empty)")
        #expect(several * 8 > total, "\(several)")
        #expect(large * 12 > codes, "\(large) of \(codes)")
        // In images as small as these, few codes are small and still have their modules.
        #expect(small * 40 > codes, "\(small) of \(codes)")
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
