import Foundation
import Images
import TestSupport
import Testing

/// Files that must be refused with the right error, and never more than that.
@Suite struct BadImageTests {
    /// One bad file: its bytes, and the code of the error.
    struct BadFile: Sendable, CustomTestStringConvertible {
        let name: String
        let code: String
        let bytes: @Sendable () throws -> [UInt8]

        var testDescription: String { name }

        init(_ name: String, _ code: String, _ bytes: @escaping @Sendable () throws -> [UInt8]) {
            self.name = name
            self.code = code
            self.bytes = bytes
        }

        /// A golden file with some bytes replaced.
        init(_ name: String, _ code: String, patching file: String, _ patches: [Int: [UInt8]]) {
            self.init(name, code) {
                var bytes = try Golden.bytes(file)
                for (position, patch) in patches {
                    bytes.replaceSubrange(position..<position + patch.count, with: patch)
                }
                return bytes
            }
        }

        /// A golden JPEG with some bytes of its frame header's payload replaced, and perhaps its marker.
        init(_ name: String, _ code: String, frame patches: [Int: [UInt8]], marker: UInt8 = 0xC0) {
            self.init(name, code) {
                var bytes = try Golden.bytes("444.jpg")
                let frame = try #require(bytes.indices.first { bytes[$0...].starts(with: [0xFF, 0xC0]) })
                bytes[frame + 1] = marker
                for (position, patch) in patches {
                    bytes.replaceSubrange((frame + 4 + position)..<(frame + 4 + position + patch.count), with: patch)
                }
                return bytes
            }
        }
    }

    static let badFiles: [BadFile] = [
        BadFile("empty", "empty_file") { [] },
        BadFile("one byte", "unknown_image_format") { [0xFF] },
        BadFile("text", "unknown_image_format") { Array("This is no image.\n".utf8) },
        BadFile("zeros", "unknown_image_format") { [UInt8](repeating: 0, count: 1000) },
        BadFile("GIF", "unknown_image_format") { Array("GIF89a".utf8) + [1, 0, 1, 0, 0, 0, 0] },
        // JPEG
        BadFile("JPEG of three bytes", "truncated_image") { [0xFF, 0xD8, 0xFF] },
        BadFile("JPEG cut in its tables", "truncated_image") { Array(try Golden.bytes("420.jpg").prefix(60)) },
        BadFile("JPEG cut in its pixels", "truncated_image") { Array(try Golden.bytes("420.jpg").dropLast(100)) },
        BadFile("JPEG without its end", "truncated_image") { Array(try Golden.bytes("420.jpg").dropLast(2)) },
        BadFile("progressive JPEG cut", "truncated_image") {
            Array(try Golden.bytes("progressive-444.jpg").dropLast(300))
        },
        BadFile("JPEG with text after the header", "truncated_image") {
            Array(try Golden.bytes("444.jpg").prefix(20)) + Array(String(repeating: "no image ", count: 200).utf8)
        },
        BadFile("JPEG with a damaged scan", "damaged_image") {
            var bytes = try Golden.bytes("restart-blocks.jpg")
            bytes.replaceSubrange((bytes.count - 60)..<(bytes.count - 40), with: [UInt8](repeating: 0x55, count: 20))
            return bytes
        },
        BadFile("JPEG of width 0", "image_size_out_of_range", frame: [3: [0, 0]]),
        BadFile("JPEG of height 0", "image_size_out_of_range", frame: [1: [0, 0]]),
        BadFile("JPEG of 65535 x 65535", "too_many_pixels", frame: [1: [0xFF, 0xFF, 0xFF, 0xFF]]),
        BadFile("JPEG too wide for libjpeg", "unsupported_image", frame: [1: [0, 1, 0xFF, 0xFF]]),
        BadFile("lossless JPEG", "unsupported_image", frame: [:], marker: 0xC3),
        BadFile("hierarchical JPEG", "unsupported_image", frame: [:], marker: 0xC5),
        BadFile("12-bit JPEG", "unsupported_image", frame: [0: [12]]),
        BadFile("JPEG of 2 components", "unsupported_image", frame: [5: [2]]),
        BadFile("JPEG of 0 components", "unsupported_image", frame: [5: [0]]),
        BadFile("JPEG with sampling 0", "damaged_image", frame: [7: [0]]),
        BadFile("JPEG with 600 scans", "too_many_scans") { try Golden.bytes("hostile-many-scans.jpg") },
        BadFile("JPEG with a scan and no frame", "damaged_image") {
            [0xFF, 0xD8, 0xFF, 0xD9] + [UInt8](repeating: 0xFF, count: 3) + [0xDA, 0, 2, 0, 0, 0, 0]
        },
        // PNG
        BadFile("PNG signature", "truncated_image") { Array(try Golden.bytes("rgb-8.png").prefix(8)) },
        BadFile("PNG cut in its header", "truncated_image") { Array(try Golden.bytes("rgb-8.png").prefix(28)) },
        BadFile("PNG cut after its header", "truncated_image") { Array(try Golden.bytes("rgb-8.png").prefix(33)) },
        BadFile("PNG cut in its pixels", "truncated_image") { Array(try Golden.bytes("rgb-8.png").dropLast(60)) },
        BadFile("PNG without its end", "truncated_image") { Array(try Golden.bytes("rgb-8.png").dropLast(12)) },
        BadFile("interlaced PNG cut", "truncated_image") {
            Array(try Golden.bytes("rgba-16-interlaced.png").dropLast(100))
        },
        BadFile("PNG with a damaged header", "damaged_image", patching: "rgb-8.png", [24: [7]]),
        BadFile("PNG with a wrong header checksum", "damaged_image", patching: "rgb-8.png", [29: [1, 2, 3, 4]]),
        BadFile("PNG with damaged pixels", "damaged_image", patching: "rgb-8.png", [60: [1, 2, 3, 4]]),
        BadFile("PNG with a damaged text", "damaged_image", patching: "exif-raw.png", [60: [0x7A]]),
        BadFile("PNG of width 0", "image_size_out_of_range", patching: "rgb-8.png", [16: [0, 0, 0, 0]]),
        BadFile("PNG of height 0", "image_size_out_of_range", patching: "rgb-8.png", [20: [0, 0, 0, 0]]),
        BadFile("PNG 2^32-1 wide", "image_size_out_of_range", patching: "rgb-8.png", [16: [255, 255, 255, 255]]),
        BadFile(
            "PNG of 65535 x 65535", "too_many_pixels", patching: "rgb-8.png",
            [16: [0, 0, 0xFF, 0xFF], 20: [0, 0, 0xFF, 0xFF]]),
        BadFile("PNG that starts with another chunk", "damaged_image", patching: "rgb-8.png", [12: Array("tEXt".utf8)]),
        BadFile("PNG with a header of 2 GB", "damaged_image", patching: "rgb-8.png", [8: [0x7F, 0xFF, 0xFF, 0xFF]]),
        BadFile(
            "PNG with a text of 4 GB", "chunk_too_large", patching: "exif-raw.png", [33: [0xFF, 0xFF, 0xFF, 0xFF]]),
        BadFile("PNG with pixels of 4 GB", "damaged_image", patching: "rgb-8.png", [33: [0xFF, 0xFF, 0xFF, 0xFF]]),
        BadFile("PNG bomb", "too_many_pixels") { try Golden.bytes("hostile-bomb.png") },
    ]

    @Test(arguments: badFiles)
    func isRefused(_ file: BadFile) throws {
        let folder = try TemporaryFolder()
        let path = try folder.write(file.bytes(), "image")
        let error = try #require(throws: ImageError.self) { try Image(contentsOf: path) }
        #expect(error.code == file.code, "\(error)")
        #expect(error.description.hasPrefix(path + ": "))
        // A tolerant decoder may take it, but must survive it.
        _ = try? Image(contentsOf: path, options: DecodingOptions(allowsTruncated: true))
    }

    @Test func tolerantDecodersHaveTheSameLimits() throws {
        let options = DecodingOptions(allowsTruncated: true)
        for (name, code) in [("hostile-many-scans.jpg", "too_many_scans"), ("hostile-bomb.png", "too_many_pixels")] {
            let error = try #require(throws: ImageError.self) {
                try Image(contentsOf: Fixture.path(name), options: options)
            }
            #expect(error.code == code)
        }
    }

    @Test func aCompressedTextThatGrowsIsNotRead() throws {
        expectEqual(
            try Image(contentsOf: Fixture.path("hostile-text-bomb.png")),
            try Image(contentsOf: Fixture.path("rgb-8.png")), "hostile-text-bomb.png")
    }

    /// Two million EXIF segments of two bytes: work that grows with their square would take hours.
    @Test(.timeLimit(.minutes(1)))
    func manySegmentsTakeLinearTime() throws {
        let segment: [UInt8] = [0xFF, 0xE1, 0, 10] + Array("Exif\0\0MM".utf8)
        let image = try Golden.bytes("444.jpg")
        let bytes = image.prefix(2) + [[UInt8]](repeating: segment, count: 2_000_000).joined() + image.dropFirst(2)
        expectEqual(try Image(decoding: Array(bytes)), try Image(decoding: image), "many segments")
    }

    @Test func missingFile() throws {
        let error = try #require(throws: ImageError.self) { try Image(contentsOf: "/nowhere/image.jpg") }
        #expect(error.code == "not_found")
        #expect(error.description == "/nowhere/image.jpg: cannot open: No such file or directory")
    }

    @Test func folder() throws {
        let folder = try TemporaryFolder()
        let error = try #require(throws: ImageError.self) { try Image(contentsOf: folder.path) }
        #expect(error.code == "is_a_folder")
    }

    @Test func danglingLink() throws {
        let folder = try TemporaryFolder()
        let link = folder.path + "/link.jpg"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "gone.jpg")
        let error = try #require(throws: ImageError.self) { try Image(contentsOf: link) }
        #expect(error.code == "not_found")
    }

    @Test func unreadableFile() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write(Golden.bytes("444.jpg"), "secret.jpg")
        try #require(chmod(path, 0) == 0)
        // The superuser may read everything.
        guard geteuid() != 0 else { return }
        let error = try #require(throws: ImageError.self) { try Image(contentsOf: path) }
        #expect(error.code == "permission_denied")
    }

    @Test(.timeLimit(.minutes(1)))
    func pipeAndDeviceDoNotHang() throws {
        let folder = try TemporaryFolder()
        let pipe = folder.path + "/pipe.jpg"
        try #require(mkfifo(pipe, 0o600) == 0)
        for path in [pipe, "/dev/zero"] {
            let error = try #require(throws: ImageError.self) { try Image(contentsOf: path) }
            #expect(error.code == "not_a_file")
        }
    }

    @Test func aSparseFileOfAGigabyteIsRefusedUnread() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write([0xFF, 0xD8, 0xFF], "huge.jpg")
        try #require(truncate(path, 1 << 30) == 0)
        let error = try #require(throws: ImageError.self) { try Image(contentsOf: path) }
        #expect(error.reason == .fileTooLarge(byteCount: 1 << 30, limit: 256 << 20))
    }
}
