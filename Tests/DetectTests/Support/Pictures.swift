// The images that the tests of the command read.

import Foundation

/// Small image files made by hand, so that the tests need no encoder.
enum Pictures {
    /// A PNG of random grey blocks: a valid file of stored (uncompressed) deflate blocks.
    static func png(width: Int, height: Int, seed: Int = 1) -> [UInt8] {
        var rows: [UInt8] = []
        for y in 0..<height {
            rows.append(0)
            for x in 0..<width {
                let value = UInt8(truncatingIfNeeded: (x / 8 * 31 + y / 8 * 17 + seed * 7) &* 2_654_435_761 >> 8)
                rows += [value, value &+ 40, value &+ 90]
            }
        }
        return png(header: header(width, height), data: stored(rows))
    }

    /// A PNG that claims to be huge and holds nothing.
    static let bomb = png(header: header(60_000, 60_000), data: stored([0]))

    /// A JPEG photo that ends in the middle.
    static func truncatedJPEG() throws -> [UInt8] {
        let whole = try jpeg()
        return Array(whole[..<(whole.count / 2)])
    }

    /// A JPEG photo.
    static func jpeg() throws -> [UInt8] {
        Array(try Data(contentsOf: URL(fileURLWithPath: Command.fixture("portrait.jpg"))))
    }

    static func isPNG(_ bytes: [UInt8]) -> Bool { bytes.starts(with: [0x89, 0x50, 0x4E, 0x47]) }

    static func isJPEG(_ bytes: [UInt8]) -> Bool { bytes.starts(with: [0xFF, 0xD8, 0xFF]) }

    private static func png(header: [UInt8], data: [UInt8]) -> [UInt8] {
        [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A] + chunk("IHDR", header) + chunk("IDAT", data)
            + chunk("IEND", [])
    }

    private static func header(_ width: Int, _ height: Int) -> [UInt8] {
        bigEndian(UInt32(width)) + bigEndian(UInt32(height)) + [8, 2, 0, 0, 0]
    }

    private static func chunk(_ name: String, _ content: [UInt8]) -> [UInt8] {
        let body = Array(name.utf8) + content
        return bigEndian(UInt32(content.count)) + body + bigEndian(checksum(body))
    }

    /// A zlib stream of stored blocks (RFC 1950, RFC 1951).
    private static func stored(_ bytes: [UInt8]) -> [UInt8] {
        var stream: [UInt8] = [0x78, 0x01]
        for start in stride(from: 0, to: bytes.count, by: 65_535) {
            let block = bytes[start..<min(start + 65_535, bytes.count)]
            let length = UInt16(block.count)
            stream.append(start + 65_535 >= bytes.count ? 1 : 0)
            for value in [length, ~length] { stream += [UInt8(value & 0xFF), UInt8(value >> 8)] }
            stream += block
        }
        let sums = bytes.reduce((UInt32(1), UInt32(0))) { sums, byte in
            let first = (sums.0 + UInt32(byte)) % 65_521
            return (first, (sums.1 + first) % 65_521)
        }
        return stream + bigEndian(sums.1 << 16 | sums.0)
    }

    private static func bigEndian(_ value: UInt32) -> [UInt8] {
        [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
    }

    /// CRC-32 as PNG uses it (annex D of the specification).
    private static func checksum(_ bytes: [UInt8]) -> UInt32 {
        ~bytes.reduce(~0) { sum, byte in
            (0..<8).reduce(sum ^ UInt32(byte)) { sum, _ in sum & 1 == 1 ? sum >> 1 ^ 0xEDB8_8320 : sum >> 1 }
        }
    }
}
