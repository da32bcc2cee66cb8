// The paths that the user named: arguments as the system passed them, and the list on standard input for "-".

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif
import Tensors

/// The user's paths in their order, with "-" replaced by the list on standard input.
enum InputList {
    /// More than any list of paths needs; ends `yes | detect -`.
    private static let maximumByteCount = 1 << 28

    /// - Parameter isNULSeparated: whether the list's paths end in NUL instead of a line's end.
    /// - Throws: ``UsageError`` or ``FileError``.
    static func paths(_ arguments: [String], isNULSeparated: Bool) throws -> [FilePath] {
        var rawArguments = RawArguments()
        return try arguments.flatMap { argument in
            argument == "-"
                ? try standardInput(isNULSeparated: isNULSeparated) : [rawArguments.path(for: argument)]
        }
    }

    private static func standardInput(isNULSeparated: Bool) throws -> [FilePath] {
        var list: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = read(STDIN_FILENO, &buffer, buffer.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw FileError(path: "standard input", action: "read", systemCode: errno)
            }
            if count == 0 { break }
            list += buffer[..<count]
            guard list.count <= maximumByteCount else {
                throw UsageError("standard input: expected a list of paths of at most \(maximumByteCount) bytes")
            }
        }
        guard !isNULSeparated else { return list.split(separator: 0).map { FilePath(bytes: Array($0)) } }
        guard !list.contains(0) else {
            throw UsageError("standard input: expected a path a line, found NUL bytes; add -0 for a NUL-separated list")
        }
        return list.split(separator: UInt8(ascii: "\n")).compactMap { line in
            let path = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
            return path.isEmpty ? nil : FilePath(bytes: Array(path))
        }
    }
}

/// The arguments' own bytes: Swift's strings have lost those that are not UTF-8.
private struct RawArguments {
    private var repaired: [(text: String, bytes: [UInt8])] = []

    init() {
        for argument in UnsafeBufferPointer(start: CommandLine.unsafeArgv, count: Int(CommandLine.argc)) {
            guard let argument else { continue }
            let bytes = Array(UnsafeRawBufferPointer(start: argument, count: strlen(argument)))
            if String(validating: bytes, as: UTF8.self) == nil {
                repaired.append((String(decoding: bytes, as: UTF8.self), bytes))
            }
        }
    }

    /// Arguments that look alike once repaired are handed out in their order.
    mutating func path(for argument: String) -> FilePath {
        guard let index = repaired.firstIndex(where: { $0.text == argument }) else { return FilePath(argument) }
        return FilePath(bytes: repaired.remove(at: index).bytes)
    }
}
