// Paths as the system sees them. A Linux file name is any bytes but "/" and NUL, a Swift string only valid Unicode, so
// a path that came from a folder or a list is kept as bytes and becomes text where people or libraries read it.

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif
import Tensors

/// A file's path: bytes, compared byte for byte (two strings that differ only in Unicode normalisation are two files).
struct FilePath: Hashable, Sendable {
    let bytes: [UInt8]

    init(bytes: [UInt8]) { self.bytes = bytes }

    init(_ text: String) { bytes = Array(text.utf8) }

    /// For people and records: bytes that are not UTF-8 become U+FFFD.
    var text: String { String(decoding: bytes, as: UTF8.self) }

    /// Whether `text` names the same file.
    var isText: Bool { String(validating: bytes, as: UTF8.self) != nil }

    var isAbsolute: Bool { bytes.first == UInt8(ascii: "/") }

    /// The parts between slashes, without empty ones and ".".
    var components: [[UInt8]] {
        bytes.split(separator: UInt8(ascii: "/")).map(Array.init).filter { $0 != [UInt8(ascii: ".")] }
    }

    /// The last component; empty for the root.
    var name: [UInt8] { components.last ?? [] }

    /// Everything before the last component's last dot; a leading dot begins no extension.
    var withoutExtension: FilePath {
        let count = fileExtension.utf8.count
        return count == 0 ? self : FilePath(bytes: Array(bytes.dropLast(count + 1)))
    }

    /// The last component's extension in lower case, without the dot; empty when there is none.
    var fileExtension: String {
        guard let dot = name.lastIndex(of: UInt8(ascii: ".")), dot > 0 else { return "" }
        let suffix = name[(dot + 1)...]
        return suffix.allSatisfy { $0 < 0x80 } ? String(decoding: suffix, as: UTF8.self).lowercased() : ""
    }

    /// The entry `name` of this folder.
    func appending(_ name: [UInt8]) -> FilePath {
        guard !bytes.isEmpty else { return FilePath(bytes: name) }
        return FilePath(bytes: bytes.last == UInt8(ascii: "/") ? bytes + name : bytes + [UInt8(ascii: "/")] + name)
    }

    /// The same path with `suffix` after its last byte.
    func adding(_ suffix: String) -> FilePath { FilePath(bytes: bytes + Array(suffix.utf8)) }

    /// The folder that holds this path's last component; "." for a bare name.
    var folder: FilePath {
        guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")) else { return FilePath(".") }
        return FilePath(bytes: slash == 0 ? [UInt8(ascii: "/")] : Array(bytes[..<slash]))
    }

    /// The components from the root, with ".." taken as text: good for naming, not for opening.
    func absoluteComponents(in workingFolder: FilePath) -> [[UInt8]] {
        var result: [[UInt8]] = isAbsolute ? [] : workingFolder.components
        for component in components {
            if component == Array("..".utf8) {
                if !result.isEmpty { result.removeLast() }
            } else {
                result.append(component)
            }
        }
        return result
    }

    func withCString<Result>(_ body: (UnsafePointer<CChar>) throws -> Result) rethrows -> Result {
        try (bytes.map(CChar.init(bitPattern:)) + [0]).withUnsafeBufferPointer { buffer in
            // The array ends in NUL, so it is never empty and has an address.
            guard let start = buffer.baseAddress else { return try body("") }
            return try body(start)
        }
    }

    /// The folder that relative paths start from.
    static var working: FilePath {
        guard let start = getcwd(nil, 0) else { return FilePath("/") }
        defer { free(start) }
        return FilePath(bytes: Array(UnsafeRawBufferPointer(start: start, count: strlen(start))))
    }
}

extension FileStatus {
    /// - Parameter followsLinks: whether a link is examined itself or what it points to.
    /// - Throws: ``FileError``.
    init(of path: FilePath, followsLinks: Bool = true) throws {
        self = try path.withCString { try FileStatus(of: $0, text: path.text, followsLinks: followsLinks) }
    }
}
