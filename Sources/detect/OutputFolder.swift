// The folder that results go to. Every file that the command writes passes through here, so that no input is overwritten.

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif
import Tensors

/// Makes folders and guards the user's own files.
struct OutputFolder: Sendable {
    let path: String
    /// Files that are read in this run: images, weights, names.
    let protected: Set<FileIdentity>

    /// The full path for the file `name`, whose folder exists after the call.
    ///
    /// - Throws: ``FileError`` when a folder cannot be made, ``Failure`` when the file is one that is read.
    func place(for name: String) throws -> String {
        let place = full(name)
        try Self.refuse(place, ifAmong: protected)
        try Self.makeFolder(FilePath(place).folder.text)
        return place
    }

    /// Throws before any work when one of `names` is a file that is read.
    func check(_ names: some Sequence<String>) throws {
        for name in names { try Self.refuse(full(name), ifAmong: protected) }
    }

    private func full(_ name: String) -> String { FilePath(path).appending(Array(name.utf8)).text }

    /// - Throws: ``UsageError`` when `place` is one of `protected`, however it is spelled or linked.
    static func refuse(_ place: String, ifAmong protected: Set<FileIdentity>) throws {
        if let status = try? FileStatus(of: FilePath(place)), protected.contains(status.identity) {
            throw UsageError("\(place): would overwrite a file that this run reads; choose another place to write to")
        }
    }

    /// Makes a folder and those above it.
    static func makeFolder(_ path: String) throws {
        if mkdir(path, 0o777) == 0 { return }
        switch errno {
        case EEXIST:
            guard try FileStatus(of: FilePath(path)).kind == .folder else {
                throw FileError(path: path, action: "make the folder", systemCode: ENOTDIR)
            }
        case ENOENT:
            let parent = FilePath(path).folder.text
            guard parent != path else { throw FileError(path: path, action: "make the folder", systemCode: ENOENT) }
            try makeFolder(parent)
            guard mkdir(path, 0o777) == 0 || errno == EEXIST else {
                throw FileError(path: path, action: "make the folder", systemCode: errno)
            }
        default: throw FileError(path: path, action: "make the folder", systemCode: errno)
        }
    }

    /// Removes what a process that was killed while it wrote has left in the folder.
    func removeUnfinished() {
        guard let stream = opendir(path) else { return }
        defer { closedir(stream) }
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
            guard name.starts(with: AtomicFile.temporaryPrefix.utf8) else { continue }
            _ = FilePath(path).appending(name).withCString { unlink($0) }
        }
    }

    /// Keeps the folder for this process, as long as the lock lives.
    ///
    /// - Throws: ``Failure`` when another process has it. File systems without locks let everyone in.
    func lock() throws -> FolderLock {
        let descriptor = FilePath(path).withCString { open($0, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard descriptor >= 0 else { throw FileError(path: path, action: "open", systemCode: errno) }
        if flock(descriptor, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK {
            close(descriptor)
            throw Failure(code: "folder_in_use", "\(path): another training is writing to this folder")
        }
        return FolderLock(descriptor: descriptor)
    }

    /// Makes the folder and sees whether files can be made in it.
    func prepare() throws {
        try Self.makeFolder(path)
        guard access(path, W_OK | X_OK) == 0 else { throw FileError(path: path, action: "write to", systemCode: errno) }
    }
}

/// A folder that one process writes to.
final class FolderLock: Sendable {
    private let descriptor: Int32

    fileprivate init(descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }
}
