/// How an image file is read.
public struct DecodingOptions: Sendable, Equatable {
    /// What is done with the orientation that a camera noted in the file.
    public enum ExifOrientation: String, Sendable, CaseIterable {
        /// The image is turned upright, as viewers show it.
        case apply
        /// The pixels stay as stored.
        case ignore
    }

    /// Larger images are refused before anything is decoded.
    public var maximumPixels: Int
    public var exifOrientation: ExifOrientation
    /// Decode what is there of a truncated or damaged image, instead of throwing. Missing rows are grey in a JPEG and black in a
    /// PNG; with a palette they are its first colour, as in Pillow with `LOAD_TRUNCATED_IMAGES`.
    public var allowsTruncated: Bool

    public init(
        maximumPixels: Int = ImageLimits.defaultMaximumPixels, exifOrientation: ExifOrientation = .apply,
        allowsTruncated: Bool = false
    ) {
        self.maximumPixels = maximumPixels
        self.exifOrientation = exifOrientation
        self.allowsTruncated = allowsTruncated
    }
}

/// What no image may exceed.
public enum ImageLimits {
    /// Pillow's `Image.MAX_IMAGE_PIXELS`: a quarter of a gibibyte of RGB.
    public static let defaultMaximumPixels = 89_478_485
    /// The longest side that JPEG can express, in pixels.
    public static let longestSide = 65_535
    /// The largest file that is read, in bytes.
    public static let fileByteCount = 256 << 20
    /// Scans of a progressive JPEG; encoders write about ten.
    package static let scanCount = 500
    /// Bytes of a PNG chunk other than pixels; libpng's own default.
    package static let ancillaryChunkByteCount = 8_000_000
}
