// What can be wrong with a file of weights. Every reader of this target throws these, and `FileError` for the system's part.

import Tensors

/// A file of weights that cannot be used: which file, where in it, what was expected and what was found.
public enum CheckpointError: DiagnosedError, Equatable {
    /// The content is none of the known formats.
    case unknownFormat(path: String, found: String)
    /// The bytes contradict their own format.
    case malformed(path: String, format: String, location: String, expected: String, found: String)
    /// Valid in its format, but a feature that is refused or not known here.
    case unsupported(path: String, format: String, found: String, advice: String)
    /// Larger than what is read from untrusted files.
    case limitExceeded(path: String, format: String, what: String, limit: Int, found: Int)
    /// A pickle names a function or class that is not on the allow-list.
    case forbiddenGlobal(path: String, name: String)
    /// A record's bytes do not have the checksum that the archive states.
    case wrongChecksum(path: String, record: String, expected: UInt32, found: UInt32)
    /// A tensor that the model needs is absent.
    case missingTensor(path: String, name: String, expected: Shape?)
    /// A tensor has another shape than the model needs.
    case wrongShape(path: String, name: String, expected: Shape, found: Shape)
    /// A tensor contains NaN or infinity; `index` counts elements in memory order.
    case nonfinite(path: String, name: String, index: Int, value: String)
    /// Tensors that the model has no place for.
    case unexpectedTensors(path: String, names: [String])
    /// The file, or the configuration that belongs to it, describes a model that cannot be built.
    case configuration(path: String, key: String, expected: String, found: String)

    public var code: String {
        switch self {
        case .unknownFormat: "unknown_weights_format"
        case .malformed: "malformed_weights"
        case .unsupported: "unsupported_weights"
        case .limitExceeded: "weights_limit_exceeded"
        case .forbiddenGlobal: "forbidden_pickle_global"
        case .wrongChecksum: "weights_checksum"
        case .missingTensor: "missing_tensor"
        case .wrongShape: "wrong_tensor_shape"
        case .nonfinite: "nonfinite_weights"
        case .unexpectedTensors: "unexpected_tensors"
        case .configuration: "model_configuration"
        }
    }

    /// Names come from the file, so what a terminal could take as a command is replaced, and what has no end is cut.
    public var description: String { String(message.prefix(2000)).replacingControlCharacters }

    private var message: String {
        switch self {
        case .unknownFormat(let path, let found):
            "\(path): not a known weights format: expected safetensors or a PyTorch checkpoint, found \(found)"
        case .malformed(let path, let format, let location, let expected, let found):
            "\(path): damaged \(format), \(location): expected \(expected), found \(found)"
        case .unsupported(let path, let format, let found, let advice):
            "\(path): \(format) with \(found), which is not supported; \(advice)"
        case .limitExceeded(let path, let format, let what, let limit, let found):
            "\(path): \(format) with too much \(what): expected at most \(limit), found \(found)"
        case .forbiddenGlobal(let path, let name):
            "\(path): the pickle refers to '\(name)', which is not among the few names that tensors need; nothing was"
                + " executed. If you trust the file, save its state_dict alone with torch.save or as safetensors"
        case .wrongChecksum(let path, let record, let expected, let found):
            "\(path): record '\(record)' is damaged: expected CRC-32 \(hexadecimal(expected)), found"
                + " \(hexadecimal(found)); download or copy the file again"
        case .missingTensor(let path, let name, let expected):
            "\(path): tensor '\(name)' is missing" + (expected.map { ": expected shape \($0)" } ?? "")
        case .wrongShape(let path, let name, let expected, let found):
            "\(path): tensor '\(name)': expected shape \(expected), found \(found)"
        case .nonfinite(let path, let name, let index, let value):
            "\(path): tensor '\(name)' contains \(value) at element \(index): expected finite numbers;"
                + " allow non-finite weights explicitly to load it all the same"
        case .unexpectedTensors(let path, let names):
            "\(path): \(names.count) tensor\(names.count == 1 ? "" : "s") that the model has no place for: "
                + names.prefix(5).map { "'\($0)'" }.joined(separator: ", ") + (names.count > 5 ? ", ..." : "")
        case .configuration(let path, let key, let expected, let found):
            "\(path): \(key): expected \(expected), found \(found)"
        }
    }
}

private func hexadecimal(_ value: UInt32) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
}
