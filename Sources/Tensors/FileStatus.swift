#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Which file it is, whatever it is called: links and other spellings of a path have the same identity.
package struct FileIdentity: Hashable, Sendable {
    private let device: UInt64
    private let number: UInt64

    fileprivate init(_ status: stat) {
        device = UInt64(truncatingIfNeeded: status.st_dev)
        number = UInt64(truncatingIfNeeded: status.st_ino)
    }
}

/// What a path leads to, without opening it.
package struct FileStatus: Sendable {
    package enum Kind: Sendable { case regular, folder, link, other }

    package let kind: Kind
    package let identity: FileIdentity

    /// - Parameters:
    ///   - path: as the system takes it.
    ///   - text: the path in errors.
    ///   - followsLinks: whether a link is examined itself or what it points to.
    /// - Throws: ``FileError``.
    package init(of path: UnsafePointer<CChar>, text: String, followsLinks: Bool = true) throws(FileError) {
        var status = stat()
        guard (followsLinks ? stat(path, &status) : lstat(path, &status)) == 0 else {
            throw FileError(path: text, action: "open", systemCode: errno)
        }
        switch status.st_mode & S_IFMT {
        case S_IFREG: kind = .regular
        case S_IFDIR: kind = .folder
        case S_IFLNK: kind = .link
        default: kind = .other
        }
        identity = FileIdentity(status)
    }
}
