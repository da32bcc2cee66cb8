/// The formats of image files, told apart by their first bytes and never by their names.
package enum ImageFormat: String, Sendable, CaseIterable {
    case jpeg = "jpg"
    case png = "png"

    /// The format that a file with these bytes at its start claims to have; nil for any other.
    ///
    /// - Source: ITU-T T.81, B.1.1.3 (start of image, then any marker); W3C PNG (third edition), 5.2.
    package init?(firstBytes bytes: [UInt8]) {
        let format = Self.allCases.first { bytes.starts(with: $0.signature) }
        guard let format else { return nil }
        self = format
    }

    private var signature: [UInt8] {
        switch self {
        case .jpeg: [0xFF, 0xD8, 0xFF]
        case .png: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
        }
    }
}
