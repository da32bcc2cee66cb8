import Foundation
import Images
import Tensors
import TestSupport
import Testing

/// Resized bytes and normalised values against Pillow 13.0.0 and torch 2.15.0 (tools/golden_images.py); equal, with no tolerance.
@Suite struct ResamplingTests {
    @Test func resizedImagesEqualPillow() throws {
        let golden = try Golden()
        #expect(golden.resizes.count >= 15)
        for resized in golden.resizes {
            let image = try Image(contentsOf: Fixture.path(resized.file))
            expectEqual(
                image.resized(width: resized.width, height: resized.height), try golden.image(resized),
                resized.testDescription)
        }
    }

    /// The fast loops work on blocks of 64 bytes: sides around a third of that, and both orders of the passes.
    @Test func fastAndPlainLoopsAgree() {
        let sides = [1, 2, 3, 21, 22, 43, 64, 130]
        var seed: UInt64 = 0
        for (width, height) in [(1, 1), (1, 30), (30, 1), (21, 22), (64, 43), (130, 7), (7, 130)] {
            seed += 1
            let image = Image(width: width, height: height, seed: seed)
            for newWidth in sides {
                for newHeight in sides {
                    expectEqual(
                        image.resized(width: newWidth, height: newHeight),
                        image.resizedPlainly(width: newWidth, height: newHeight),
                        "\(width)x\(height) to \(newWidth)x\(newHeight)")
                }
            }
        }
    }

    @Test func extremeValuesStay() {
        for gray in [UInt8(0), 255] {
            let image = Image(width: 50, height: 40, gray: gray)
            for (width, height) in [(7, 9), (99, 101), (3, 200)] {
                expectEqual(
                    image.resized(width: width, height: height), Image(width: width, height: height, gray: gray),
                    "gray \(gray)")
            }
        }
    }

    @Test func everyByteIsNormalizedAsTorchvisionDoes() throws {
        let data = try Data(contentsOf: URL(fileURLWithPath: Fixture.path("normalized.bin")))
        try #require(data.count == 256 * 3 * 4)
        let expected = data.withUnsafeBytes { bytes in
            (0..<256 * 3).map {
                Float(bitPattern: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self)))
            }
        }
        let image = Image(width: 16, height: 16, pixels: (0..<256).flatMap { [UInt8](repeating: UInt8($0), count: 3) })
        let normalized = image.normalized()
        #expect(normalized.shape == [1, 16, 16, 3])
        #expect(normalized.elements == expected)
    }

    @Test func normalizationTakesOtherConstants() {
        let image = Image(width: 1, height: 1, pixels: [0, 51, 255])
        #expect(image.normalized(mean: [0, 0, 0], deviation: [1, 1, 1]).elements == [0, 51.0 / 255, 1])
    }
}
