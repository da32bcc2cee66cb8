/// The segments of a JPEG file before its first scan: size, kind, and where its metadata are.
///
/// Read here, with checked arithmetic, before libjpeg sees the file, so that nothing is allocated for an image that will be refused.
/// - Source: ITU-T T.81, annex B; `JpegImagePlugin.py` of Pillow 13.0.0 for which metadata count.
struct JPEGFile {
    private(set) var width = 0
    private(set) var height = 0
    private(set) var exif: [UInt8]?
    private(set) var xmp: [UInt8]?

    /// - Throws: ``ImageError`` when there is no frame header before the first scan, or one of a kind that is not decoded.
    init(_ bytes: [UInt8], source: String) throws(ImageError) {
        var position = 2
        var hasFrame = false
        var hasScan = false
        while !hasScan, let marker = Self.nextMarker(in: bytes, from: &position) {
            // TEM, the restart markers and the image's start and end stand alone.
            if marker == 0x01 || (0xD0...0xD9).contains(marker) { continue }
            guard position + 2 <= bytes.count else { break }
            let length = Int(bytes[position]) << 8 | Int(bytes[position + 1])
            let end = position + length
            guard length >= 2, end <= bytes.count else { break }
            let payload = bytes[(position + 2)..<end]
            position = end
            switch marker {
            case 0xC0...0xC3, 0xC5...0xC7, 0xC9...0xCB, 0xCD...0xCF:
                if hasFrame { continue }
                hasFrame = true
                try readFrame(marker, payload, source: source)
            case 0xDA: hasScan = true
            case 0xE1: readApplicationSegment(payload)
            default: continue
            }
        }
        guard hasFrame else {
            throw ImageError(
                source: source,
                reason: hasScan
                    ? .damaged(format: "JPEG", detail: "a scan comes before the frame header")
                    : .truncated(format: "JPEG", detail: "the file ends before the frame header"))
        }
    }

    /// The next marker's code; bytes that belong to none are skipped.
    private static func nextMarker(in bytes: [UInt8], from position: inout Int) -> UInt8? {
        while position + 1 < bytes.count {
            let code = bytes[position + 1]
            if bytes[position] == 0xFF, code != 0, code != 0xFF {
                position += 2
                return code
            }
            position += 1
        }
        position = bytes.count
        return nil
    }

    private mutating func readFrame(_ marker: UInt8, _ payload: ArraySlice<UInt8>, source: String) throws(ImageError) {
        func unsupported(_ detail: String) -> ImageError {
            ImageError(source: source, reason: .unsupported(format: "JPEG", detail: detail))
        }
        let payload = Array(payload)
        guard payload.count >= 6 else {
            throw ImageError(source: source, reason: .damaged(format: "JPEG", detail: "the frame header is too short"))
        }
        switch marker {
        case 0xC3, 0xCB: throw unsupported("lossless coding")
        case 0xC5...0xC7, 0xCD...0xCF: throw unsupported("hierarchical coding")
        default: break
        }
        guard payload[0] == 8 else { throw unsupported("\(payload[0]) bits a sample; expected 8") }
        guard [1, 3, 4].contains(payload[5]) else {
            throw unsupported("\(payload[5]) colour components; expected 1, 3 or 4")
        }
        height = Int(payload[1]) << 8 | Int(payload[2])
        width = Int(payload[3]) << 8 | Int(payload[4])
    }

    private static let exifName = Array("Exif\0\0".utf8)
    private static let xmpName = Array("http://ns.adobe.com/xap/1.0/\0".utf8)

    /// EXIF may continue in further segments; of several XMP packets the last counts.
    private mutating func readApplicationSegment(_ payload: ArraySlice<UInt8>) {
        if payload.starts(with: Self.exifName) {
            // In place: a copy a segment would take hours for a file of tiny segments.
            if exif == nil { exif = [] }
            exif?.append(contentsOf: payload.dropFirst(Self.exifName.count))
        } else if payload.starts(with: Self.xmpName) {
            xmp = Array(payload.dropFirst(Self.xmpName.count))
        }
    }
}
