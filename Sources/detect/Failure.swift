// What can go wrong in the command itself, and the exit status that each thing leads to (interfaces of the command).

import Tensors

/// The command's exit statuses; an interrupted run has ``Interruption/exitStatus``.
enum ExitStatus: Int32 {
    /// All inputs done; finding nothing in them is success.
    case success = 0
    /// Finished, but some inputs failed.
    case someFailed = 1
    /// Nothing could be done: weights, no usable input, output not writable.
    case nothingDone = 2
    /// The command was called wrongly.
    case usage = 64
}

/// The command was called in a way that cannot be carried out.
struct UsageError: DiagnosedError {
    let description: String
    var code: String { "usage" }

    init(_ description: String) { self.description = description }
}

/// Why one input could not be done, or why the run cannot go on.
struct Failure: DiagnosedError, Equatable {
    let code: String
    let description: String

    init(code: String, _ description: String) {
        self.code = code
        self.description = description
    }

    /// Any library's error, with its own code where it has one, and with the option that lifts what it complains about:
    /// libraries know no options.
    init(_ error: any Error) {
        if let failure = error as? Failure {
            self = failure
            return
        }
        let diagnosed = error as? any DiagnosedError
        let code = diagnosed?.code ?? "internal"
        let option = Self.options[code].map { " (\($0))" } ?? ""
        self.init(code: code, (diagnosed?.description ?? "\(error)") + option)
    }

    /// By error code.
    private static let options = [
        "truncated_image": "--allow-truncated", "damaged_image": "--allow-truncated",
        "too_many_pixels": "--max-pixels", "nonfinite_weights": "--allow-nonfinite",
    ]

    /// The sentence about `path` without the path in front, which the caller shows itself.
    func message(about path: String) -> String {
        description.hasPrefix(path + ": ") ? String(description.dropFirst(path.count + 2)) : description
    }
}

/// The reader of our standard output has gone: the run ends without a word.
struct ClosedPipe: Error {}

extension String {
    /// The text with control characters made visible, so that a file's name cannot command the terminal.
    var printable: String {
        guard unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else { return self }
        return unicodeScalars.reduce(into: "") { result, scalar in
            if scalar.properties.generalCategory == .control {
                result += scalar.escaped(asASCII: true)
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
    }
}
