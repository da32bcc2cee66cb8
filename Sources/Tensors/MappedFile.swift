#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A file's bytes as read-only memory: pages come in when they are touched and can be dropped again.
public final class MappedFile: @unchecked Sendable {
    // @unchecked: the mapping is private and read-only for the object's whole life.

    public let path: String
    let start: UnsafeRawPointer
    private let length: Int

    /// - Throws: ``FileError`` when the file cannot be opened, is not a regular file, or cannot be mapped.
    public init(path: String) throws {
        // O_NONBLOCK: opening a FIFO must not wait for a writer.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw FileError(path: path, action: "open", systemCode: errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw FileError(path: path, action: "examine", systemCode: errno) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw FileError(
                path: path, action: "read", systemCode: status.st_mode & S_IFMT == S_IFDIR ? EISDIR : EINVAL)
        }
        self.path = path
        length = Int(status.st_size)
        guard length > 0 else {
            start = UnsafeRawPointer(UnsafeMutableRawPointer.allocate(byteCount: 1, alignment: 1))
            return
        }
        guard let mapping = mmap(nil, length, PROT_READ, MAP_PRIVATE, descriptor, 0), mapping != MAP_FAILED else {
            throw FileError(path: path, action: "map", systemCode: errno)
        }
        start = UnsafeRawPointer(mapping)
    }

    deinit {
        if length > 0 {
            munmap(UnsafeMutableRawPointer(mutating: start), length)
        } else {
            start.deallocate()
        }
    }

    /// Valid as long as this object lives.
    public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: start, count: length) }

    /// Tells the system that the pages in `range` will not be needed soon, so they stop counting as this process's memory.
    package func dropPages(in range: Range<Int>) {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let first = (range.lowerBound + page - 1) / page * page
        let last = range.upperBound / page * page
        if last > first { madvise(UnsafeMutableRawPointer(mutating: start + first), last - first, MADV_DONTNEED) }
    }
}
