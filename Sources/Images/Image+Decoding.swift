import CImageCodecs

extension Image {
    /// Reads a JPEG or PNG file: `[height, width, 3]`, upright unless the options say otherwise.
    ///
    /// The format is told by the file's content, never by its name. The bytes are those of Pillow 13.0.0's
    /// `ImageOps.exif_transpose(Image.open(path)).convert("RGB")`: alpha is dropped, CMYK is taken to be inverted as Adobe writes it, 16-bit
    /// colour is cut to 8 bits, 16-bit grey is clipped.
    ///
    /// - Throws: ``ImageError``; nothing is allocated for an image that is larger than the options allow.
    public init(contentsOf path: String, options: DecodingOptions = DecodingOptions()) throws(ImageError) {
        try self.init(decoding: FileBytes.read(path), source: path, options: options)
    }

    /// Decodes a JPEG or PNG image in memory.
    ///
    /// - Parameters:
    ///   - bytes: the whole file.
    ///   - source: what errors call it.
    /// - Throws: ``ImageError``, as for a file.
    public init(
        decoding bytes: [UInt8], source: String = "image data", options: DecodingOptions = DecodingOptions()
    ) throws(ImageError) {
        guard !bytes.isEmpty else { throw ImageError(source: source, reason: .empty) }
        let stored: Image
        let orientation: Orientation
        switch ImageFormat(firstBytes: bytes) {
        case .jpeg:
            let file = try JPEGFile(bytes, source: source)
            stored = try Image(
                bytes, width: file.width, height: file.height, format: "JPEG", source: source, options: options,
                decoder: cimage_jpeg_decode)
            orientation = Orientation(exif: file.exif, xmp: file.xmp)
        case .png:
            let file = try PNGFile(bytes, source: source)
            stored = try Image(
                bytes, width: file.width, height: file.height, format: "PNG", source: source, options: options,
                decoder: cimage_png_decode)
            orientation = Orientation(exif: file.exif, xmp: file.xmp)
        case nil:
            throw ImageError(source: source, reason: .unknownFormat(firstBytes: Array(bytes.prefix(8))))
        }
        self = options.exifOrientation == .apply ? stored.turned(orientation) : stored
    }

    private typealias Decoder = (
        UnsafePointer<UInt8>?, Int, UnsafePointer<CImageDecoding>?, UnsafeMutablePointer<UInt8>?,
        UnsafeMutablePointer<CImageMessage>?
    ) -> CImageStatus

    /// Checks the size that the header claims, then decodes.
    private init(
        _ bytes: [UInt8], width: Int, height: Int, format: String, source: String, options: DecodingOptions,
        decoder: Decoder
    ) throws(ImageError) {
        let sides = 1...ImageLimits.longestSide
        guard sides.contains(width), sides.contains(height) else {
            throw ImageError(source: source, reason: .sideOutOfRange(width: width, height: height))
        }
        guard width * height <= options.maximumPixels else {
            throw ImageError(
                source: source, reason: .tooManyPixels(width: width, height: height, limit: options.maximumPixels))
        }
        var decoding = CImageDecoding(
            width: UInt32(width), height: UInt32(height), scan_limit: Int32(ImageLimits.scanCount),
            tolerant: options.allowsTruncated)
        var message = CImageMessage()
        var pixels = [UInt8](repeating: 0, count: width * height * 3)
        let status = pixels.withUnsafeMutableBufferPointer { pixels in
            bytes.withUnsafeBufferPointer { bytes in
                decoder(bytes.baseAddress, bytes.count, &decoding, pixels.baseAddress, &message)
            }
        }
        if let reason = ImageError.Reason(status, format: format, detail: message.string) {
            throw ImageError(source: source, reason: reason)
        }
        self.init(width: width, height: height, pixels: pixels)
    }
}

extension ImageError.Reason {
    /// Nil for success.
    fileprivate init?(_ status: CImageStatus, format: String, detail: String) {
        switch status {
        case CIMAGE_OK: return nil
        case CIMAGE_TRUNCATED: self = .truncated(format: format, detail: detail)
        case CIMAGE_UNSUPPORTED: self = .unsupported(format: format, detail: detail)
        case CIMAGE_TOO_MANY_SCANS: self = .tooManyScans(limit: ImageLimits.scanCount)
        case CIMAGE_OUT_OF_MEMORY: self = .outOfMemory
        default: self = .damaged(format: format, detail: detail)
        }
    }
}

extension CImageMessage {
    /// The message as far as its terminating zero.
    var string: String {
        withUnsafeBytes(of: text) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}
