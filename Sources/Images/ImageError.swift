import Tensors

/// Why an image could not be read or written.
public struct ImageError: DiagnosedError, Equatable {
    /// What is wrong, with the values.
    public enum Reason: Sendable, Equatable {
        /// The system refused: its `errno`, and what was tried.
        case system(action: String, systemCode: Int32)
        /// A FIFO, socket or device.
        case notAFile
        case empty
        case fileTooLarge(byteCount: Int, limit: Int)
        /// Neither JPEG nor PNG; how the bytes begin.
        case unknownFormat(firstBytes: [UInt8])
        /// A side of 0, or longer than 65,535 pixels.
        case sideOutOfRange(width: Int, height: Int)
        case tooManyPixels(width: Int, height: Int, limit: Int)
        case tooManyScans(limit: Int)
        /// A PNG chunk that is not pixels and larger than any real one.
        case chunkTooLarge(name: String, position: Int, byteCount: Int, limit: Int)
        /// A kind of JPEG or PNG that is not decoded: lossless, 12 bits.
        case unsupported(format: String, detail: String)
        /// The decoder found or suspects an error in the data.
        case damaged(format: String, detail: String)
        /// The file ends before the image does.
        case truncated(format: String, detail: String)
        case outOfMemory
        /// An encoder refused the image.
        case encodingFailed(format: String, detail: String)
    }

    /// The file's path, or what the bytes were called.
    public let source: String
    public let reason: Reason

    public init(source: String, reason: Reason) {
        self.source = source
        self.reason = reason
    }

    public var code: String {
        switch reason {
        case .system(let action, let systemCode): FileError(path: source, action: action, systemCode: systemCode).code
        case .notAFile: "not_a_file"
        case .empty: "empty_file"
        case .fileTooLarge: "file_too_large"
        case .unknownFormat: "unknown_image_format"
        case .sideOutOfRange: "image_size_out_of_range"
        case .tooManyPixels: "too_many_pixels"
        case .tooManyScans: "too_many_scans"
        case .chunkTooLarge: "chunk_too_large"
        case .unsupported: "unsupported_image"
        case .damaged: "damaged_image"
        case .truncated: "truncated_image"
        case .outOfMemory: "out_of_memory"
        case .encodingFailed: "encoding_failed"
        }
    }

    public var description: String {
        switch reason {
        case .system(let action, let systemCode):
            FileError(path: source, action: action, systemCode: systemCode).description
        case .notAFile:
            "\(source): not a regular file (a pipe, socket or device); save the image to a file first"
        case .empty:
            "\(source): the file is empty; expected a JPEG or PNG image"
        case .fileTooLarge(let byteCount, let limit):
            "\(source): \(byteCount) bytes are too many for an image file; the limit is \(limit)"
        case .unknownFormat(let firstBytes):
            "\(source): expected a JPEG or PNG image, but the file begins with \(Self.printable(firstBytes))"
        case .sideOutOfRange(let width, let height):
            "\(source): the header says \(width)x\(height) pixels; each side must be 1 to \(ImageLimits.longestSide)"
        case .tooManyPixels(let width, let height, let limit):
            "\(source): \(width)x\(height) pixels are more than the limit of \(limit); "
                + "raise the pixel limit if the image is trusted"
        case .tooManyScans(let limit):
            "\(source): the JPEG image has more than \(limit) scans, as only files made to stall a decoder have"
        case .chunkTooLarge(let name, let position, let byteCount, let limit):
            "\(source): the PNG chunk \(name) at byte \(position) has \(byteCount) bytes; the limit is \(limit)"
        case .unsupported(let format, let detail):
            "\(source): this kind of \(format) image is not supported: \(detail); "
                + "convert it to a baseline JPEG or a PNG image"
        case .damaged(let format, let detail):
            "\(source): damaged \(format) image: \(detail); allow truncated images to decode what is there"
        case .truncated(let format, let detail):
            "\(source): the \(format) image is cut off: \(detail); allow truncated images to decode what is there"
        case .outOfMemory:
            "\(source): not enough memory for the image"
        case .encodingFailed(let format, let detail):
            "\(source): cannot encode as \(format): \(detail)"
        }
    }

    /// The bytes as text where they are ASCII, else as hexadecimal numbers.
    private static func printable(_ bytes: [UInt8]) -> String {
        if !bytes.isEmpty, bytes.allSatisfy({ (0x20...0x7E).contains($0) }) {
            return "\"\(String(decoding: bytes, as: UTF8.self))\""
        }
        let hexadecimal = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
        return "the bytes " + hexadecimal.joined(separator: " ")
    }
}
