/// How a stored image is to be turned to stand upright: the EXIF tag 0x0112, whose values 1...8 these are.
///
/// - Source: Exif 3.0, 4.6.5.1; `ImageOps.exif_transpose` of Pillow 13.0.0.
package enum Orientation: Int {
    case upright = 1
    case mirroredHorizontally
    case rotatedHalf
    case mirroredVertically
    case transposed
    case rotatedClockwise
    case transversed
    case rotatedCounterclockwise

    private static let tag = 0x0112

    /// What a file's metadata say, as Pillow reads them: XMP counts only where EXIF has no such tag; other values than 1...8 mean
    /// nothing, and metadata that cannot be read are as good as none.
    ///
    /// - Parameters:
    ///   - exif: a TIFF structure, with or without the six bytes `Exif\0\0` before it.
    ///   - xmp: an XMP packet.
    init(exif: [UInt8]?, xmp: [UInt8]?) {
        let value = exif.flatMap(Self.exifValue) ?? xmp.flatMap(Self.xmpValue) ?? 1
        self = Orientation(rawValue: value) ?? .upright
    }

    /// Rows that become columns, after which columns and rows may run the other way: all eight there are.
    package init(swapsSides: Bool, mirrorsColumns: Bool, mirrorsRows: Bool) {
        self =
            switch (swapsSides, mirrorsColumns, mirrorsRows) {
            case (false, false, false): .upright
            case (false, true, false): .mirroredHorizontally
            case (false, true, true): .rotatedHalf
            case (false, false, true): .mirroredVertically
            case (true, false, false): .transposed
            case (true, true, false): .rotatedClockwise
            case (true, true, true): .transversed
            case (true, false, true): .rotatedCounterclockwise
            }
    }

    /// Whether width and height change places.
    var swapsSides: Bool { rawValue >= Orientation.transposed.rawValue }

    /// The tag's value in the first directory of a TIFF structure; nil when the tag is absent, 0 when it is no whole number.
    private static func exifValue(_ bytes: [UInt8]) -> Int? {
        var start = 0
        let prefix = Array("Exif\0\0".utf8)
        for _ in 0..<2 where bytes[start...].starts(with: prefix) { start += prefix.count }
        guard let (reader, directory) = TIFFReader.open(bytes, from: start),
            let entryCount = reader.number(at: directory, byteCount: 2)
        else { return nil }
        for index in 0..<entryCount {
            let entry = directory + 2 + 12 * index
            guard reader.number(at: entry + 10, byteCount: 2) != nil else { return nil }
            if reader.number(at: entry, byteCount: 2) == tag, let value = reader.firstElement(ofEntryAt: entry) {
                return value
            }
        }
        return nil
    }

    /// The digit after `tiff:Orientation="` or `tiff:Orientation>`.
    private static func xmpValue(_ bytes: [UInt8]) -> Int? {
        let name = Array("tiff:Orientation".utf8)
        var position = 0
        while let found = bytes.firstRange(of: name, from: position) {
            var next = found.upperBound
            position = next
            if bytes[next...].starts(with: Array("=\"".utf8)) {
                next += 2
            } else if bytes[next...].starts(with: Array(">".utf8)) {
                next += 1
            } else {
                continue
            }
            if next < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[next]) {
                return Int(bytes[next] - UInt8(ascii: "0"))
            }
        }
        return nil
    }
}

/// Checked reading of a TIFF structure in either byte order.
private struct TIFFReader {
    let bytes: [UInt8]
    /// Where the structure begins; offsets inside it count from here.
    let start: Int
    let isBigEndian: Bool

    /// The reader and the offset of the first directory.
    static func open(_ bytes: [UInt8], from start: Int) -> (reader: TIFFReader, directory: Int)? {
        let isBigEndian: Bool
        switch bytes[start...].prefix(4) {
        case [0x49, 0x49, 0x2A, 0x00]: isBigEndian = false
        case [0x4D, 0x4D, 0x00, 0x2A]: isBigEndian = true
        default: return nil
        }
        let reader = TIFFReader(bytes: bytes, start: start, isBigEndian: isBigEndian)
        guard let directory = reader.number(at: 4, byteCount: 4) else { return nil }
        return (reader, directory)
    }

    /// An unsigned number, or nil outside the bytes. Offsets are sums of a few 32-bit numbers and don't overflow.
    func number(at offset: Int, byteCount: Int) -> Int? {
        guard offset >= 0, offset + byteCount <= bytes.count - start else { return nil }
        let field = bytes[(start + offset)..<(start + offset + byteCount)]
        return isBigEndian ? field.reduce(0) { $0 << 8 | Int($1) } : field.reversed().reduce(0) { $0 << 8 | Int($1) }
    }

    /// The first element of a 12-byte entry; 0 when its type holds no whole numbers, nil when there is no element.
    func firstElement(ofEntryAt entry: Int) -> Int? {
        guard let type = number(at: entry + 2, byteCount: 2), let count = number(at: entry + 4, byteCount: 4), count > 0
        else { return nil }
        // Types 3 and 8 are (signed) 16-bit, 4 and 9 (signed) 32-bit numbers; a negative one is far from 1...8 either way.
        let elementSize: Int
        switch type {
        case 3, 8: elementSize = 2
        case 4, 9: elementSize = 4
        case 1, 2, 5, 6, 7, 10, 11, 12: return 0
        default: return nil
        }
        guard count * elementSize > 4 else { return number(at: entry + 8, byteCount: elementSize) }
        guard let offset = number(at: entry + 8, byteCount: 4),
            number(at: offset + count * elementSize - 1, byteCount: 1) != nil
        else { return nil }
        return number(at: offset, byteCount: elementSize)
    }
}

extension [UInt8] {
    /// Where `pattern` first occurs at or after `start`.
    func firstRange(of pattern: [UInt8], from start: Int = 0) -> Range<Int>? {
        guard let first = pattern.first else { return nil }
        var position = start
        while position + pattern.count <= count {
            guard let candidate = self[position...].firstIndex(of: first) else { return nil }
            if self[candidate...].starts(with: pattern) { return candidate..<candidate + pattern.count }
            position = candidate + 1
        }
        return nil
    }
}
