#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Writes a file so that a reader sees the old one or the whole new one, never a part.
public final class AtomicFile {
    private let path: String
    private let temporaryPath: String
    private var descriptor: Int32
    private var isCommitted = false

    /// Opens a temporary file in the folder of `path`.
    ///
    /// - Throws: ``FileError`` when the folder is missing or not writable.
    public init(path: String) throws {
        self.path = path
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
        var temporaryPath = ""
        repeat {
            temporaryPath = "\(folder).unfinished-\(UInt64.random(in: .min ... .max))"
            descriptor = open(temporaryPath, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
        } while descriptor < 0 && errno == EEXIST
        self.temporaryPath = temporaryPath
        guard descriptor >= 0 else { throw FileError(path: path, action: "create", systemCode: errno) }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
        if !isCommitted { unlink(temporaryPath) }
    }

    /// Appends all of `bytes`.
    public func write(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes
        while !rest.isEmpty {
            // Linux writes at most 2 GiB at a time.
            let written = systemWrite(descriptor, rest.baseAddress, min(rest.count, 1 << 30))
            if written < 0 {
                if errno == EINTR { continue }
                throw FileError(path: path, action: "write", systemCode: errno)
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[written...])
        }
    }

    /// Flushes the data to disk and gives the file its name.
    public func commit() throws {
        guard fsync(descriptor) == 0 else { throw FileError(path: path, action: "flush", systemCode: errno) }
        let closing = close(descriptor)
        descriptor = -1
        guard closing == 0 else { throw FileError(path: path, action: "close", systemCode: errno) }
        guard rename(temporaryPath, path) == 0 else { throw FileError(path: path, action: "rename", systemCode: errno) }
        isCommitted = true
    }

    /// Writes `bytes` as the whole content of the file at `path`.
    public static func write(_ bytes: some Sequence<UInt8>, to path: String) throws {
        let file = try AtomicFile(path: path)
        try Array(bytes).withUnsafeBytes { try file.write($0) }
        try file.commit()
    }
}

private func systemWrite(_ descriptor: Int32, _ start: UnsafeRawPointer?, _ count: Int) -> Int {
    #if canImport(Glibc)
        Glibc.write(descriptor, start, count)
    #else
        Darwin.write(descriptor, start, count)
    #endif
}
