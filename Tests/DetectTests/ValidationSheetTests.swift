// The sheet of validation images.

import Boxes
import Images
import Testing
import Training

@testable import detect

@Suite struct ValidationSheetTests {
    private let gray = Image(width: 640, height: 480, pixels: [UInt8](repeating: 90, count: 640 * 480 * 3))

    private func pixel(_ image: Image, _ column: Int, _ row: Int) -> [UInt8] {
        Array(image.pixels[(row * image.width + column) * 3..<(row * image.width + column) * 3 + 3])
    }

    /// The first row and column that have the images' grey, and how many columns do: where the first tile lies.
    private func firstTile(in image: Image) -> (left: Int, top: Int)? {
        for row in 0..<image.height {
            if let column = (0..<image.width - 40).first(where: { column in
                (0..<40).allSatisfy { pixel(image, column + $0, row) == [90, 90, 90] }
            }) {
                return (column, row)
            }
        }
        return nil
    }

    @Test func theSheetGrowsByRows() {
        var sheet = ValidationSheet(title: "step 1", classNames: ["a", "b"])
        let empty = sheet.image
        var sizes: [(width: Int, height: Int)] = []
        for index in 0..<9 {
            sheet.add("image \(index).jpg", image: gray, truth: [], detections: [])
            sizes.append((sheet.image.width, sheet.image.height))
        }
        let (width, gap) = (ValidationSheet.tileWidth, 16)
        #expect(sizes.map(\.width) == [2, 2, 3, 4, 4, 4, 4, 4, 4].map { 48 + $0 * (width + gap) - gap })
        #expect(empty.width == sizes[0].width && empty.height == sizes[0].height)
        let rowHeight = sizes[4].height - sizes[3].height
        #expect(rowHeight > ValidationSheet.tileHeight + gap)
        #expect(sizes.map(\.height) == [0, 0, 0, 0, 1, 1, 1, 1, 2].map { empty.height + $0 * rowHeight })
    }

    @Test func truthIsDashedAndPredictionsHaveTheirColour() throws {
        var sheet = ValidationSheet(title: "", classNames: ["a", "b"])
        let truth = CornerBox(xMin: 100, yMin: 120, xMax: 300, yMax: 320)
        let found = CornerBox(xMin: 380, yMin: 120, xMax: 580, yMax: 320)
        sheet.add(
            "x.jpg", image: gray, truth: [LabelledImage.Object(classID: 0, box: truth)],
            detections: [Detection(classID: 1, label: "b", score: 0.7, box: found)])
        let image = sheet.image
        let place = try #require(firstTile(in: image))
        // Half the size: the tile is 320 pixels wide.
        let trueEdge = (0..<40).map { pixel(image, place.left + 50, place.top + 90 + $0) }
        #expect(Set(trueEdge) == [[0, 0, 0], [255, 255, 255]])
        let color = ClassColors.color(ofClass: 1)
        let foundEdge = (0..<40).map { pixel(image, place.left + 190, place.top + 90 + $0) }
        #expect(Set(foundEdge) == [[color.red, color.green, color.blue]])
        #expect(pixel(image, place.left + 100, place.top + 110) == [90, 90, 90])
    }

    @Test func anyImageAndBoxFits() {
        let names = (0..<60).map { "class number \($0)" }
        var sheet = ValidationSheet(title: String(repeating: "long ", count: 100), classNames: names)
        let values: [Float] = [.nan, .infinity, -5, 0, 3, 1e9]
        for (width, height) in [(1, 1), (1, 900), (900, 1), (5, 3), (1000, 40)] {
            let image = Image(width: width, height: height, pixels: [UInt8](repeating: 50, count: width * height * 3))
            let boxes = values.flatMap { first in
                values.map { CornerBox(xMin: first, yMin: $0, xMax: $0, yMax: first) }
            }
            sheet.add(
                String(repeating: "name", count: 90) + "\u{1B}[0m", image: image,
                truth: boxes.enumerated().map { LabelledImage.Object(classID: $0 * 3, box: $1) },
                detections: boxes.enumerated().map { Detection(classID: -$0, label: "x", score: .nan, box: $1) })
        }
        #expect(sheet.image.width == 48 + 4 * (ValidationSheet.tileWidth + 16) - 16)
    }
}
