import CImageCodecs

/// The chunks of a PNG file: size, and where its metadata are.
///
/// Read here, with checked arithmetic, before libpng sees the file, so that nothing is allocated for an image that will be refused.
/// libpng is told to skip every chunk but header, palette and pixels.
/// - Source: W3C PNG (third edition), 5 and 11; `PngImagePlugin.py` of Pillow 13.0.0 for which metadata count.
struct PNGFile {
    let width: Int
    let height: Int
    private(set) var exif: [UInt8]?
    private(set) var xmp: [UInt8]?

    /// Pillow's `MAX_TEXT_CHUNK`: compressed text that becomes longer is not read.
    private static let inflatedByteCount = 1 << 20

    /// - Throws: ``ImageError`` when the first chunk is not a header, or a chunk other than pixels is enormous.
    init(_ bytes: [UInt8], source: String) throws(ImageError) {
        guard bytes.count >= 29 else {
            throw ImageError(source: source, reason: .truncated(format: "PNG", detail: "the file ends in its header"))
        }
        guard Self.number(in: bytes, at: 8) == 13, Self.name(in: bytes, at: 12) == "IHDR" else {
            throw ImageError(source: source, reason: .damaged(format: "PNG", detail: "the first chunk is not IHDR"))
        }
        width = Self.number(in: bytes, at: 16)
        height = Self.number(in: bytes, at: 20)
        try readMetadata(bytes, source: source)
    }

    private mutating func readMetadata(_ bytes: [UInt8], source: String) throws(ImageError) {
        // Of several chunks with one name the last counts, so nothing is inflated before it is known to be the last.
        var rawProfile: TextChunk?
        var packet: TextChunk?
        var position = 8
        while position + 12 <= bytes.count {
            let length = Self.number(in: bytes, at: position)
            let name = Self.name(in: bytes, at: position + 4)
            let isAncillary = bytes[position + 4] & 0x20 != 0
            guard !isAncillary || length <= ImageLimits.ancillaryChunkByteCount else {
                throw ImageError(
                    source: source,
                    reason: .chunkTooLarge(
                        name: name, position: position, byteCount: length, limit: ImageLimits.ancillaryChunkByteCount))
            }
            let start = position + 8
            guard name != "IEND", start + length + 4 <= bytes.count else { break }
            let payload = bytes[start..<start + length]
            switch name {
            case "eXIf": exif = Array(payload)
            case "tEXt", "zTXt", "iTXt":
                guard let text = TextChunk(name, payload) else { break }
                if text.keyword == "Raw profile type exif" { rawProfile = text }
                if text.keyword == "XML:com.adobe.xmp" { packet = text }
            default: break
            }
            position = start + length + 4
        }
        if exif == nil { exif = rawProfile?.content(limit: Self.inflatedByteCount).flatMap(Self.bytesOfRawProfile) }
        xmp = packet?.content(limit: Self.inflatedByteCount)
    }

    /// ImageMagick's form of EXIF: an empty line, a name, a length, then hexadecimal digits.
    private static func bytesOfRawProfile(_ text: [UInt8]) -> [UInt8]? {
        let lines = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        var bytes: [UInt8] = []
        var high: Int?
        for character in lines.dropFirst(3).joined() where character != UInt8(ascii: " ") {
            guard let digit = Character(UnicodeScalar(character)).hexDigitValue else { return nil }
            if let first = high {
                bytes.append(UInt8(first << 4 | digit))
                high = nil
            } else {
                high = digit
            }
        }
        return high == nil ? bytes : nil
    }

    /// - Precondition: four bytes lie at `position`.
    private static func number(in bytes: [UInt8], at position: Int) -> Int {
        bytes[position..<position + 4].reduce(0) { $0 << 8 | Int($1) }
    }

    /// - Precondition: four bytes lie at `position`.
    private static func name(in bytes: [UInt8], at position: Int) -> String {
        String(decoding: bytes[position..<position + 4], as: UTF8.self)
    }
}

/// A chunk of text, plain or compressed, not yet inflated.
private struct TextChunk {
    let keyword: String
    private let isCompressed: Bool
    private let stored: ArraySlice<UInt8>

    /// Nil when the chunk is malformed.
    init?(_ name: String, _ payload: ArraySlice<UInt8>) {
        guard let keywordEnd = payload.firstIndex(of: 0), keywordEnd - payload.startIndex <= 79 else { return nil }
        keyword = String(decoding: payload[..<keywordEnd], as: UTF8.self)
        var rest = payload[(keywordEnd + 1)...]
        switch name {
        case "zTXt":
            // Compression method 0 is zlib, the only one.
            guard rest.popFirst() == 0 else { return nil }
            isCompressed = true
        case "iTXt":
            guard let flag = rest.popFirst(), let method = rest.popFirst(), flag == 0 || method == 0 else { return nil }
            isCompressed = flag != 0
            // The language and the translated keyword, each ended by a zero.
            for _ in 0..<2 {
                guard let end = rest.firstIndex(of: 0) else { return nil }
                rest = rest[(end + 1)...]
            }
        default: isCompressed = false
        }
        stored = rest
    }

    /// The text; nil when it is damaged or longer than `limit` bytes.
    func content(limit: Int) -> [UInt8]? {
        guard isCompressed else { return Array(stored) }
        var isComplete = false
        let inflated = [UInt8](unsafeUninitializedCapacity: limit) { output, count in
            let written = stored.withUnsafeBufferPointer { input in
                cimage_inflate(input.baseAddress, input.count, output.baseAddress, limit)
            }
            isComplete = written >= 0
            count = max(0, Int(written))
        }
        return isComplete ? inflated : nil
    }
}
