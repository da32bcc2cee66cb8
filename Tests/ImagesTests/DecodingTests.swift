import Images
import TestSupport
import Testing

/// Decoded bytes against Pillow 13.0.0 (tools/golden_images.py); equal, with no tolerance.
@Suite struct DecodingTests {
    @Test func everyKindOfFileEqualsPillow() throws {
        let golden = try Golden()
        #expect(golden.cases.count >= 92)
        for file in golden.cases {
            let image = try Image(contentsOf: Fixture.path(file.file))
            expectEqual(image, try golden.image(file), file.file)
        }
    }

    @Test func bytesAndFileGiveTheSame() throws {
        let fromBytes = try Image(decoding: Golden.bytes("420.jpg"))
        #expect(try fromBytes == Image(contentsOf: Fixture.path("420.jpg")))
    }

    @Test func ignoredOrientationLeavesTheStoredPixels() throws {
        let options = DecodingOptions(exifOrientation: .ignore)
        for format in ["jpg", "png"] {
            let stored = try Image(contentsOf: Fixture.path("exif-1.\(format)"))
            for orientation in 1...8 {
                let image = try Image(contentsOf: Fixture.path("exif-\(orientation).\(format)"), options: options)
                expectEqual(image, stored, "exif-\(orientation).\(format)")
            }
        }
    }

    @Test func tolerantDecodingOfAGoodFileIsTheSame() throws {
        let options = DecodingOptions(allowsTruncated: true)
        for file in try Golden().cases {
            let tolerant = try Image(contentsOf: Fixture.path(file.file), options: options)
            expectEqual(tolerant, try Image(contentsOf: Fixture.path(file.file)), file.file)
        }
    }

    @Test func theNameDoesNotDecideTheFormat() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write(Golden.bytes("rgb-8.png"), "photo.jpg")
        #expect(try Image(contentsOf: path) == Image(contentsOf: Fixture.path("rgb-8.png")))
    }

    @Test(arguments: ["420.jpg", "progressive-420.jpg", "rgb-8.png", "palette-8.png", "rgba-16-interlaced.png"])
    func aCutFileDecodesWhenAllowed(_ name: String) throws {
        let whole = try Image(contentsOf: Fixture.path(name))
        let bytes = try Golden.bytes(name)
        let cut = Array(bytes.dropLast(40))
        let error = try #require(throws: ImageError.self) { try Image(decoding: cut, source: name) }
        #expect(["truncated_image", "damaged_image"].contains(error.code))
        let partial = try Image(decoding: cut, options: DecodingOptions(allowsTruncated: true))
        #expect(partial.width == whole.width && partial.height == whole.height)
        // The first row was there.
        #expect(partial.pixels != [UInt8](repeating: 0, count: partial.pixels.count))
    }

    @Test func thePixelLimitIsInclusive() throws {
        let pixels = 13 * 7
        _ = try Image(contentsOf: Fixture.path("rgb-8.png"), options: DecodingOptions(maximumPixels: pixels))
        let error = try #require(throws: ImageError.self) {
            try Image(contentsOf: Fixture.path("rgb-8.png"), options: DecodingOptions(maximumPixels: pixels - 1))
        }
        #expect(error.reason == .tooManyPixels(width: 13, height: 7, limit: pixels - 1))
    }
}
