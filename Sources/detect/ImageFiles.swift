// Where the command meets the Images library: reading an input, and writing the pictures of its result.

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif
import DeformDETR
import Tensors

/// Reads images and writes annotated copies and crops.
struct ImageFiles: Sendable {
    let decoding: DecodingOptions
    let annotation: AnnotationStyle

    /// The upright image in an input's file.
    ///
    /// - Throws: the library's error about the file.
    func read(_ input: Input) throws -> Image {
        if let problem = input.problem { throw problem }
        guard !input.path.isText else { return try Image(contentsOf: input.path.text, options: decoding) }
        // The library takes text, which cannot spell this path: it opens our open file instead.
        let descriptor = input.path.withCString { open($0, O_RDONLY | O_CLOEXEC | O_NONBLOCK) }
        guard descriptor >= 0 else { throw FileError(path: input.path.text, action: "open", systemCode: errno) }
        defer { close(descriptor) }
        let alias = "/dev/fd/\(descriptor)"
        do {
            return try Image(contentsOf: alias, options: decoding)
        } catch {
            let failure = Failure(error)
            throw Failure(code: failure.code, "\(input.path.text): \(failure.message(about: alias))")
        }
    }

    /// Writes a copy of `image` with its detections drawn.
    func writeAnnotated(_ image: Image, _ detections: [Detection], to path: String) throws {
        try image.annotated(with: detections, style: annotation).write(to: path)
    }

    /// Writes a copy of `image` with one detection drawn, and where the network looked for it.
    func writeAttention(
        _ image: Image, _ detection: Detection, _ attention: DetectionAttention, to path: String
    ) throws {
        try image.annotated(with: detection, attention: attention, style: annotation).write(to: path)
    }

    /// Writes the part of `image` in a detection's box; nothing for a box outside the image.
    func writeCrop(_ image: Image, _ detection: Detection, to path: @autoclosure () throws -> String) throws {
        try image.cropped(to: detection.box)?.write(to: path())
    }
}
