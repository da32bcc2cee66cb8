/// An upright 8-bit RGB image.
public struct Image: Sendable, Equatable {
    public let width: Int
    public let height: Int
    /// `[height, width, 3]`, rows from the top, red green blue, 0...255.
    public private(set) var pixels: [UInt8]

    /// - Precondition: both sides are positive, and `pixels` holds `width * height * 3` bytes.
    public init(width: Int, height: Int, pixels: [UInt8]) {
        precondition(width > 0 && height > 0, "an image of \(width)x\(height) pixels")
        precondition(pixels.count == width * height * 3, "\(pixels.count) bytes for \(width)x\(height) RGB")
        self.width = width
        self.height = height
        self.pixels = pixels
    }
}
