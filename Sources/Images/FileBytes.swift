#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Reading a whole image file into memory, never more than the limit.
///
/// The file is read and not mapped: a mapped file that someone shortens meanwhile ends the process with SIGBUS.
enum FileBytes {
    static func read(_ path: String, limit: Int = ImageLimits.fileByteCount) throws(ImageError) -> [UInt8] {
        func failure(_ action: String) -> ImageError {
            ImageError(source: path, reason: .system(action: action, systemCode: errno))
        }
        // O_NONBLOCK: opening a FIFO must not wait for a writer.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            // A socket cannot be opened at all.
            throw errno == ENXIO ? ImageError(source: path, reason: .notAFile) : failure("open")
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure("examine") }
        guard status.st_mode & S_IFMT != S_IFDIR else {
            throw ImageError(source: path, reason: .system(action: "read", systemCode: EISDIR))
        }
        guard status.st_mode & S_IFMT == S_IFREG else { throw ImageError(source: path, reason: .notAFile) }
        let size = Int(status.st_size)
        guard size <= limit else {
            throw ImageError(source: path, reason: .fileTooLarge(byteCount: size, limit: limit))
        }
        // Files of /proc claim 0 bytes and are refused with the empty ones: none is an image.
        var failed = false
        let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            // The file may have become shorter or longer since: what is read is at most `size`.
            while count < size {
                let part = systemRead(descriptor, UnsafeMutableBufferPointer(rebasing: buffer[count..<size]))
                if part < 0, errno == EINTR { continue }
                failed = part < 0
                guard part > 0 else { break }
                count += part
            }
        }
        if failed { throw failure("read") }
        guard !bytes.isEmpty else { throw ImageError(source: path, reason: .empty) }
        return bytes
    }
}

private func systemRead(_ descriptor: Int32, _ target: UnsafeMutableBufferPointer<UInt8>) -> Int {
    #if canImport(Glibc)
        Glibc.read(descriptor, target.baseAddress, target.count)
    #else
        Darwin.read(descriptor, target.baseAddress, target.count)
    #endif
}
