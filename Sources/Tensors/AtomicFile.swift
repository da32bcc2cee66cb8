#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Writes a file so that a reader sees the old one or the whole new one, never a part.
///
/// A link is followed: its target is replaced. What is no regular file (a terminal, a pipe, `/dev/null`) has no content to
/// replace and is written to directly.
public final class AtomicFile {
    /// The file to replace; a link's target.
    private let path: String
    /// What the names of files begin with that are not finished, or never will be.
    package static let temporaryPrefix = ".unfinished-"
    /// Where the data lies until ``commit()``; nil when it is written directly.
    private let temporaryPath: String?
    private var descriptor: Int32
    private var isCommitted = false

    /// Opens a temporary file in the folder of `path`.
    ///
    /// - Throws: ``FileError`` when `path` is a folder, or its folder is missing or not writable.
    public init(path: String) throws {
        var status = stat()
        let exists = stat(path, &status) == 0
        let kind = status.st_mode & S_IFMT
        guard !exists || kind != S_IFDIR else { throw FileError(path: path, action: "write", systemCode: EISDIR) }
        guard !exists || kind == S_IFREG else {
            self.path = path
            temporaryPath = nil
            descriptor = open(path, O_WRONLY | O_CLOEXEC)
            guard descriptor >= 0 else { throw FileError(path: path, action: "open", systemCode: errno) }
            return
        }
        let target = exists ? Self.withoutLinks(path) : path
        let folder = target.lastIndex(of: "/").map { String(target[...$0]) } ?? ""
        var temporaryPath = ""
        repeat {
            temporaryPath = "\(folder)\(Self.temporaryPrefix)\(UInt64.random(in: .min ... .max))"
            descriptor = open(temporaryPath, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
        } while descriptor < 0 && errno == EEXIST
        self.path = target
        self.temporaryPath = temporaryPath
        guard descriptor >= 0 else { throw FileError(path: path, action: "create", systemCode: errno) }
    }

    /// The path that an existing file's path leads to.
    private static func withoutLinks(_ path: String) -> String {
        guard let resolved = realpath(path, nil) else { return path }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
        if !isCommitted, let temporaryPath { unlink(temporaryPath) }
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
        // Devices and pipes cannot be flushed.
        guard temporaryPath == nil || fsync(descriptor) == 0 else {
            throw FileError(path: path, action: "flush", systemCode: errno)
        }
        let closing = close(descriptor)
        descriptor = -1
        guard closing == 0 else { throw FileError(path: path, action: "close", systemCode: errno) }
        guard let temporaryPath else { return }
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
