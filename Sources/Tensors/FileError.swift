#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// The system refused something about a file.
public struct FileError: DiagnosedError, Equatable {
    public let path: String
    /// What was tried: "open", "map", "write".
    public let action: String
    /// The system's `errno`.
    public let systemCode: Int32

    public init(path: String, action: String, systemCode: Int32) {
        self.path = path
        self.action = action
        self.systemCode = systemCode
    }

    public var code: String {
        switch systemCode {
        case ENOENT: "not_found"
        case EACCES, EPERM: "permission_denied"
        case EISDIR: "is_a_folder"
        case ENOSPC, EDQUOT: "disk_full"
        default: "file_error"
        }
    }

    public var description: String { "\(path): cannot \(action): \(String(cString: strerror(systemCode)))" }
}
