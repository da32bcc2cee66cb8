import Foundation

/// An error that a person can act on and a program can tell apart.
///
/// `description` says which file, where in it, what was expected, what was found and what to do.
public protocol DiagnosedError: LocalizedError, CustomStringConvertible {
    /// A short stable word for programs, such as `truncated_image`; written into JSON records.
    var code: String { get }
}

extension DiagnosedError {
    /// What Foundation shows as `localizedDescription`.
    public var errorDescription: String? { description }
}
