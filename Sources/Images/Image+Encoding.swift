import CImageCodecs
import Tensors

extension Image {
    /// The image as a JPEG file.
    ///
    /// - Parameter quality: 1...100, clamped; from 90 on, colour is kept at full resolution.
    /// - Throws: ``ImageError`` when the image is larger than JPEG allows, or memory is short.
    public func jpegData(quality: Int = 95) throws(ImageError) -> [UInt8] {
        try encoded(as: "JPEG", source: "image data", quality: quality)
    }

    /// The image as a PNG file.
    ///
    /// - Throws: ``ImageError`` when memory is short.
    public func pngData() throws(ImageError) -> [UInt8] {
        try encoded(as: "PNG", source: "image data", quality: 0)
    }

    /// Writes the image: as PNG when the path ends in `.png`, else as JPEG. Readers see the old file or the whole new one.
    ///
    /// - Throws: ``ImageError`` or `FileError`.
    public func write(to path: String, quality: Int = 95) throws {
        let format = path.lowercased().hasSuffix(".png") ? "PNG" : "JPEG"
        try AtomicFile.write(encoded(as: format, source: path, quality: quality), to: path)
    }

    private func encoded(as format: String, source: String, quality: Int) throws(ImageError) -> [UInt8] {
        func failure(_ detail: String) -> ImageError {
            ImageError(source: source, reason: .encodingFailed(format: format, detail: detail))
        }
        guard let width = UInt32(exactly: width), let height = UInt32(exactly: height), width > 0, height > 0 else {
            throw failure("an image of \(width)x\(height) pixels cannot be written")
        }
        var bytes: UnsafeMutablePointer<UInt8>?
        var count = 0
        var message = CImageMessage()
        let status = pixels.withUnsafeBufferPointer { pixels in
            format == "PNG"
                ? cimage_png_encode(pixels.baseAddress, width, height, &bytes, &count, &message)
                : cimage_jpeg_encode(
                    pixels.baseAddress, width, height, Int32(min(max(quality, 1), 100)), &bytes, &count, &message)
        }
        defer { cimage_free(bytes) }
        switch status {
        case CIMAGE_OK: return Array(UnsafeBufferPointer(start: bytes, count: count))
        case CIMAGE_OUT_OF_MEMORY: throw ImageError(source: source, reason: .outOfMemory)
        default: throw failure(message.string)
        }
    }
}
