import Boxes
import Foundation
import Images
import Tensors
import Testing

/// What is written can be read again.
@Suite struct EncodingTests {
    @Test func pngKeepsEveryByte() throws {
        for (width, height) in [(1, 1), (13, 7), (200, 100)] {
            let image = Image(width: width, height: height, seed: 5)
            expectEqual(try Image(decoding: image.pngData()), image, "\(width)x\(height)")
        }
    }

    @Test func jpegStaysClose() throws {
        let image = Image(width: 8, height: 6, seed: 6).resized(width: 200, height: 150)
        for (quality, tolerance) in [(100, 4), (95, 10), (50, 60), (-7, 255), (1000, 4)] {
            let decoded = try Image(decoding: image.jpegData(quality: quality))
            #expect(decoded.width == 200 && decoded.height == 150)
            let largest = zip(decoded.pixels, image.pixels).map { abs(Int($0) - Int($1)) }.max() ?? 0
            #expect(largest <= tolerance, "quality \(quality)")
        }
    }

    @Test func theNameDecidesTheWrittenFormat() throws {
        let folder = try TemporaryFolder()
        let image = Image(width: 20, height: 10, seed: 7)
        for (name, start) in [
            ("a.png", [0x89, 0x50]), ("b.PNG", [0x89, 0x50]), ("c.jpg", [0xFF, 0xD8]), ("d", [0xFF, 0xD8]),
        ] {
            let path = folder.path + "/" + name
            try image.write(to: path)
            #expect(try Data(contentsOf: URL(fileURLWithPath: path)).prefix(2).map { Int($0) } == start)
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).count == 4)
    }

    @Test func anImageTooWideForJPEGIsAnError() throws {
        let image = Image(width: 65_501, height: 1, gray: 9)
        let error = try #require(throws: ImageError.self) { try image.jpegData() }
        #expect(error.code == "encoding_failed")
        expectEqual(try Image(decoding: image.pngData()), image, "65501x1")
    }

    @Test func aMissingFolderIsAnError() throws {
        let error = try #require(throws: FileError.self) {
            try Image(width: 1, height: 1, gray: 0).write(to: "/nowhere/a.jpg")
        }
        #expect(error.code == "not_found")
    }

    @Test func croppingGrowsToWholePixels() throws {
        let image = Image(width: 10, height: 8, seed: 8)
        let part = try #require(image.cropped(to: CornerBox(xMin: 2.5, yMin: 1.2, xMax: 5.1, yMax: 3)))
        #expect(part.width == 4 && part.height == 2)
        for row in 0..<2 {
            for column in 0..<4 { #expect(part.color(column, row) == image.color(column + 2, row + 1)) }
        }
        #expect(image.cropped(to: CornerBox(xMin: -1e30, yMin: -.infinity, xMax: .infinity, yMax: 1e30)) == image)
    }

    @Test func croppingNothingIsNil() {
        let image = Image(width: 10, height: 8, seed: 9)
        let boxes: [(Float, Float, Float, Float)] = [
            (3, 3, 3, 5), (3, 3, 5, 3), (5, 5, 3, 7), (10, 0, 20, 5), (-9, -9, -1, -1), (.nan, 0, 5, 5),
            (0, 0, 5, .nan),
            (.infinity, 0, .infinity, 5),
        ]
        for (xMin, yMin, xMax, yMax) in boxes {
            #expect(image.cropped(to: CornerBox(xMin: xMin, yMin: yMin, xMax: xMax, yMax: yMax)) == nil)
        }
    }
}
