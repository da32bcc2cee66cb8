// Colours against torchvision 0.29.2 (tools/golden_augmentation.py).

import Foundation
import Images
import TestSupport
import Testing
import Training

@Suite struct ColorJitterTests {
    private struct Golden: Decodable {
        struct Case: Decodable {
            let operation: String
            let amount: Double

            func change() throws -> ColorChange {
                switch operation {
                case "brightness": .brightness(amount)
                case "contrast": .contrast(amount)
                case "saturation": .saturation(amount)
                case "hue": .hue(amount)
                default: throw CocoaError(.coderInvalidValue)
                }
            }
        }
        let colors: [Case]
    }

    /// The same float32 sums give the same bytes. Hues are found by another formula, so a sum that is cut to a whole number may
    /// come out one lower or higher, rarely.
    @Test func torchvisionsColors() throws {
        let data = try Data(contentsOf: URL(fileURLWithPath: Fixture.path("augmentation.json")))
        let cases = try JSONDecoder().decode(Golden.self, from: data).colors
        let all = try Image(contentsOf: Fixture.path("augmentation.png"))
        let height = all.height / (cases.count + 1)
        #expect(all.height == height * (cases.count + 1) && !cases.isEmpty)
        func part(_ index: Int) -> Image {
            let byteCount = height * all.width * 3
            return Image(
                width: all.width, height: height,
                pixels: Array(all.pixels[(index * byteCount)..<((index + 1) * byteCount)]))
        }
        let input = part(0)
        for (index, golden) in cases.enumerated() {
            let found = input.changed([try golden.change()])
            let differences = zip(found.pixels, part(index + 1).pixels).map { abs(Int($0) - Int($1)) }
            #expect(differences.allSatisfy { $0 <= 1 }, "\(golden)")
            let different = differences.count { $0 > 0 }
            #expect(
                different == 0 || golden.operation == "hue" && different * 100 < differences.count,
                "\(golden): \(different) of \(differences.count)")
        }
    }

    /// One change after the other; none leaves the very bytes.
    @Test func order() {
        let image = Image(width: 2, height: 1, pixels: [200, 10, 60, 90, 120, 250])
        #expect(image.changed([.brightness(1), .contrast(1), .saturation(1), .hue(0)]) == image)
        let brightFirst = image.changed([.brightness(2), .saturation(0)])
        #expect(brightFirst == image.changed([.brightness(2)]).changed([.saturation(0)]))
        #expect(brightFirst != image.changed([.saturation(0), .brightness(2)]))
    }

    /// All lengths around the block and the vectors of the kernels give what single pixels give.
    @Test func anySize() {
        for count in [1, 2, 15, 16, 17, 255, 256, 257, 600] {
            let pixels = (0..<(count * 3)).map { UInt8(truncatingIfNeeded: $0 * 73 + ($0 >> 3) * 29) }
            for change in [ColorChange.brightness(1.3), .saturation(0.4), .hue(0.21)] {
                let whole = Image(width: count, height: 1, pixels: pixels).changed([change])
                for pixel in 0..<count {
                    let bytes = Array(pixels[(pixel * 3)..<(pixel * 3 + 3)])
                    let single = Image(width: 1, height: 1, pixels: bytes).changed([change])
                    let found = Array(whole.pixels[(pixel * 3)..<(pixel * 3 + 3)])
                    #expect(found == single.pixels)
                }
            }
        }
    }

    /// Jitter through the augmentation: chances are kept, and no colour means equal channels.
    @Test func chances() {
        let image = Image(width: 3, height: 2, pixels: (0..<18).map { UInt8($0 * 13) })
        let sample = LabelledImage(image: image, objects: [])
        func share(_ colors: ColorJitter, _ isCounted: (Image) -> Bool) -> Double {
            let augmentation = Augmentation(shorterSides: [2], longestSide: 3, colors: colors)
            let count = (0..<UInt64(2000)).count { isCounted(augmentation(sample, seed: $0).image) }
            return Double(count) / 2000
        }
        func isGrey(_ image: Image) -> Bool {
            stride(from: 0, to: image.pixels.count, by: 3).allSatisfy { start in
                let (red, green, blue) = (image.pixels[start], image.pixels[start + 1], image.pixels[start + 2])
                return red == green && green == blue
            }
        }
        func isSame(_ changed: Image) -> Bool { changed == image }
        // Four standard deviations of a share of 2,000 draws are below 0.045.
        #expect(abs(share(ColorJitter(greyscale: 0.2), isGrey) - 0.2) < 0.045)
        #expect(abs(share(ColorJitter(brightness: 0.5...0.6, probability: 0.5), isSame) - 0.5) < 0.045)
        #expect(share(ColorJitter(), isSame) == 1)
        #expect(share(.photometric, isSame) < 0.12)
    }
}
