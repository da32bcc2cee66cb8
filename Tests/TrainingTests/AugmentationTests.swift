// Augmented boxes are looked for again by colour; sizes are compared with the published draws (tools/golden_augmentation.py).

import Boxes
import DeformDETR
import Foundation
import Images
import TestSupport
import Testing
import Training

@Suite struct AugmentationTests {
    /// A red rectangle and a blue one on dark grey, which all paddings and blends stay darker than.
    private static func painted(width: Int, height: Int, red: PixelBox, blue: PixelBox) -> LabelledImage {
        var pixels = [UInt8](repeating: 30, count: width * height * 3)
        for (box, color) in [(red, [255, 30, 30] as [UInt8]), (blue, [30, 30, 255])] {
            for row in box.top..<box.bottom {
                for column in box.left..<box.right {
                    for channel in 0..<3 { pixels[(row * width + column) * 3 + channel] = color[channel] }
                }
            }
        }
        return LabelledImage(
            image: Image(width: width, height: height, pixels: pixels),
            objects: [.init(classID: 0, box: red.corners), .init(classID: 2, box: blue.corners)])
    }

    private struct PixelBox {
        var left: Int, top: Int, right: Int, bottom: Int
        var corners: CornerBox {
            CornerBox(xMin: Float(left), yMin: Float(top), xMax: Float(right), yMax: Float(bottom))
        }
    }

    /// The pixels that are more of a colour than of the background.
    private static func found(_ image: Image, channel: Int) -> CornerBox? {
        var box: PixelBox?
        for row in 0..<image.height {
            for column in 0..<image.width where image.pixels[(row * image.width + column) * 3 + channel] > 142 {
                let former = box ?? PixelBox(left: column, top: row, right: column + 1, bottom: row + 1)
                box = PixelBox(
                    left: min(former.left, column), top: former.top, right: max(former.right, column + 1),
                    bottom: row + 1)
            }
        }
        return box?.corners
    }

    private static let augmentations: [(String, Augmentation)] = [
        ("published", .published(shorterSide: 160, longestSide: 267)),
        ("enlarging", .published(shorterSide: 480, longestSide: 800)),
        (
            "without an up",
            Augmentation(
                horizontalFlip: 0.5, verticalFlip: 0.5, quarterTurn: 0.5,
                framing: .cropped(.init(probability: 0.7, shorterSides: [90, 120], sides: 60...110)),
                shorterSides: [96, 128], longestSide: 170)
        ),
        (
            "zoomed",
            Augmentation(
                horizontalFlip: 0.5, verticalFlip: 0.5, quarterTurn: 0.5, framing: .zoomed(0.4...2.5),
                shorterSides: [128, 150], longestSide: 200)
        ),
    ]

    /// Every box is where its colour is. Half a pixel is lost by looking at whole pixels, a little more by the resize's blur.
    @Test(arguments: augmentations) func boxesStayOnTheirObjects(name: String, augmentation: Augmentation) throws {
        let samples = [
            Self.painted(
                width: 200, height: 150, red: PixelBox(left: 20, top: 31, right: 83, bottom: 72),
                blue: PixelBox(left: 111, top: 90, right: 190, bottom: 141)),
            Self.painted(
                width: 97, height: 203, red: PixelBox(left: 0, top: 0, right: 40, bottom: 50),
                blue: PixelBox(left: 50, top: 100, right: 97, bottom: 203)),
        ]
        var compared = 0
        for seed in 0..<UInt64(200) {
            let result = augmentation(samples[Int(seed % 2)], seed: seed)
            let frame = CornerBox(
                xMin: 0, yMin: 0, xMax: Float(result.image.width), yMax: Float(result.image.height))
            for (classID, channel) in [(0, 0), (2, 2)] {
                let objects = result.objects.filter { $0.classID == classID }
                #expect(objects.count <= 1)
                let found = Self.found(result.image, channel: channel)
                guard let box = objects.first?.box else {
                    #expect(found == nil, "\(name), seed \(seed): no box")
                    continue
                }
                #expect(box.clamped(width: frame.xMax, height: frame.yMax) == box && box.area > 0)
                // Of a thin rest at the border no pixel need be more of its colour than of another's.
                guard let found, box.width > 2, box.height > 2 else {
                    #expect(box.width <= 2 || box.height <= 2, "\(name), seed \(seed): nothing in \(box)")
                    continue
                }
                compared += 1
                let distances = [
                    box.xMin - found.xMin, box.yMin - found.yMin, box.xMax - found.xMax, box.yMax - found.yMax,
                ]
                #expect(distances.allSatisfy { abs($0) <= 1 }, "\(name), seed \(seed): \(box), found \(found)")
            }
        }
        #expect(compared > 200)
    }

    /// Flips and turns alone move every pixel and no edge by a fraction: boxes are exact.
    @Test func turnsAreExact() {
        let sample = Self.painted(
            width: 7, height: 5, red: PixelBox(left: 0, top: 0, right: 2, bottom: 1),
            blue: PixelBox(left: 3, top: 2, right: 7, bottom: 4))
        let augmentation = Augmentation(
            horizontalFlip: 0.5, verticalFlip: 0.5, quarterTurn: 0.5, shorterSides: [5], longestSide: 7)
        var seen: [[UInt8]: Int] = [:]
        for seed in 0..<UInt64(800) {
            let result = augmentation(sample, seed: seed)
            for object in result.objects { #expect(Self.found(result.image, channel: object.classID) == object.box) }
            seen[result.image.pixels, default: 0] += 1
        }
        // All eight, as often as one another: 100 times, with a deviation of 9.4.
        #expect(seen.count == 8 && seen.values.allSatisfy { (60...140).contains($0) }, "\(seen.values)")
    }

    private struct Golden: Decodable {
        struct Size: Decodable {
            let width: Int, height: Int, shorterSide: Int, longestSide: Int
            let mean: [Double], deviation: [Double]
        }
        let sizes: [Size]
    }

    /// Means within 4.5 of their own deviations, deviations within 5%.
    @Test func sizesAreDrawnAsPublished() throws {
        let data = try Data(contentsOf: URL(fileURLWithPath: Fixture.path("augmentation.json")))
        let count = 4000
        for golden in try JSONDecoder().decode(Golden.self, from: data).sizes {
            let augmentation = Augmentation.published(
                shorterSide: golden.shorterSide, longestSide: golden.longestSide)
            let sample = Self.painted(
                width: golden.width, height: golden.height, red: PixelBox(left: 0, top: 0, right: 1, bottom: 1),
                blue: PixelBox(left: 0, top: 0, right: 1, bottom: 1))
            let images = (0..<count).map { augmentation(sample, seed: UInt64($0)).image }
            for (axis, sides) in [images.map(\.width), images.map(\.height)].enumerated() {
                let mean = Double(sides.reduce(0, +)) / Double(count)
                let variance = sides.reduce(0) { $0 + (Double($1) - mean) * (Double($1) - mean) } / Double(count)
                let tolerance = 4.5 * golden.deviation[axis] / Double(count).squareRoot()
                #expect(abs(mean - golden.mean[axis]) < tolerance, "\(golden), axis \(axis): \(mean)")
                #expect(abs(variance.squareRoot() / golden.deviation[axis] - 1) < 0.05, "\(golden): \(variance)")
            }
        }
    }

    /// The authors' numbers, and those of a network of 480 pixels.
    @Test func publishedFamily() {
        let full = Augmentation.published()
        #expect(full.shorterSides == [480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800])
        #expect(full.longestSide == 1333 && full.horizontalFlip == 0.5 && full.colors == nil)
        #expect(
            full.framing == .cropped(.init(probability: 0.5, shorterSides: [400, 500, 600], sides: 384...600)))
        let small = Augmentation.published(shorterSide: 480, longestSide: 800)
        #expect(small.shorterSides.first == 288 && small.shorterSides.last == 480 && small.longestSide == 800)
        #expect(
            small.framing == .cropped(.init(probability: 0.5, shorterSides: [240, 300, 360], sides: 230...360)))
    }

    @Test func resizingIsPreprocessing() {
        let sample = Self.painted(
            width: 61, height: 40, red: PixelBox(left: 3, top: 4, right: 20, bottom: 30),
            blue: PixelBox(left: 30, top: 4, right: 61, bottom: 40))
        let preprocessing = Preprocessing(shorterSide: 33, longestSide: 45)
        let size = preprocessing.size(forWidth: 61, height: 40)
        let result = Augmentation.resizing(preprocessing)(sample, seed: 1)
        #expect(result.image == sample.image.resized(width: size.width, height: size.height))
        #expect(result.objects.count == 2)
    }

    @Test func theSeedDecides() {
        let sample = Self.painted(
            width: 90, height: 60, red: PixelBox(left: 3, top: 4, right: 20, bottom: 30),
            blue: PixelBox(left: 30, top: 4, right: 61, bottom: 40))
        var augmentation = Augmentation.published(shorterSide: 100, longestSide: 167)
        augmentation.colors = .photometric
        let results = (0..<UInt64(50)).map { augmentation(sample, seed: $0) }
        #expect(results == (0..<UInt64(50)).map { augmentation(sample, seed: $0) })
        #expect(Set(results.map(\.image.pixels)).count > 45)
    }

    /// What is left of an object decides whether it stays; what has no area never does.
    @Test func objectsThatAreCutOff() {
        var sample = Self.painted(
            width: 100, height: 100, red: PixelBox(left: 10, top: 10, right: 50, bottom: 50),
            blue: PixelBox(left: 60, top: 60, right: 100, bottom: 100))
        let odd: [CornerBox] = [
            CornerBox(xMin: 5, yMin: 5, xMax: 5, yMax: 9), CornerBox(xMin: 9, yMin: 9, xMax: 5, yMax: 20),
            CornerBox(xMin: .nan, yMin: 1, xMax: 5, yMax: 9), CornerBox(xMin: 120, yMin: 1, xMax: 150, yMax: 9),
        ]
        sample.objects += odd.map { .init(classID: 7, box: $0) }
        // Parts of 50 x 50 of an image that keeps its size: an object's area is what is seen of its 1,600 pixels.
        var augmentation = Augmentation(
            framing: .cropped(.init(probability: 1, shorterSides: [100], sides: 50...50)), shorterSides: [50],
            longestSide: 100)
        var counts: [Int] = []
        for share in [Float(0), 0.5, 1] {
            augmentation.minimumVisibleShare = share
            let objects = (0..<UInt64(300)).flatMap { augmentation(sample, seed: $0).objects }
            #expect(objects.allSatisfy { $0.classID != 7 && $0.box.area > 0 && $0.box.area >= share * 1600 })
            #expect(objects.contains { $0.box.area < (share + 0.2) * 1600 })
            counts.append(objects.count)
        }
        #expect(counts[0] > counts[1] && counts[1] > counts[2] && counts[2] > 0, "\(counts)")
    }

    /// Images of any shape, without objects too, become images of the network's size.
    @Test func anyImage() {
        var zoomed = Self.augmentations[3].1
        zoomed.shorterSides = [30]
        for (width, height) in [(1, 1), (1, 300), (300, 1), (2, 3), (3000, 7), (64, 64)] {
            let image = Image(
                width: width, height: height, pixels: [UInt8](repeating: 9, count: width * height * 3))
            let objects = [
                LabelledImage.Object(
                    classID: 1, box: CornerBox(xMin: 0, yMin: 0, xMax: Float(width), yMax: Float(height)))
            ]
            for augmentation in [zoomed, .published(shorterSide: 40, longestSide: 70)] {
                for seed in 0..<UInt64(40) {
                    let empty = augmentation(LabelledImage(image: image, objects: []), seed: seed)
                    #expect(empty.objects.isEmpty && empty.image.width > 0 && empty.image.height > 0)
                    let full = augmentation(LabelledImage(image: image, objects: objects), seed: seed)
                    #expect(full.image == empty.image && full.objects.count == 1)
                    #expect(full.targets.boxes.allSatisfy { $0.width > 0 && $0.width <= 1 && $0.height <= 1 })
                }
            }
        }
    }
}
