// Small JSON documents as values, for untrusted headers and configurations: bounded depth and size, no duplicate keys.
// Foundation's readers keep the last of two equal keys and have no such bounds.

import Tensors

/// A JSON value. Objects keep their order.
public enum JSONValue: Sendable, Equatable {
    case null
    case boolean(Bool)
    /// A number without fraction or exponent that fits in `Int`.
    case integer(Int)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([Member])

    public struct Member: Sendable, Equatable {
        public let key: String
        public let value: JSONValue
    }

    /// The value of an object's key; nil when this is no object or has no such key.
    public subscript(key: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.key == key }?.value
    }

    /// What an error calls this value.
    public var kind: String {
        switch self {
        case .null: "null"
        case .boolean(let value): "\(value)"
        case .integer(let value): "\(value)"
        case .number(let value): "\(value)"
        case .string(let text): "'\(text.prefix(40))'"
        case .array: "an array"
        case .object: "an object"
        }
    }
}

extension JSONValue {
    /// Enough for 65,536 tensors of rank 8 with all their fields; bounds the memory that a header can cost.
    static let maximumValues = 2_000_000

    /// Reads one JSON document.
    ///
    /// - Parameter origin: the file's path, for errors.
    /// - Throws: ``CheckpointError`` with the byte where the document is wrong.
    public init(parsing bytes: [UInt8], origin: String) throws {
        try self.init(parsing: bytes, origin: origin, format: "JSON", offset: 0)
    }

    /// - Parameter offset: where `bytes` begin in the file, for errors.
    init(parsing bytes: [UInt8], origin: String, format: String, offset: Int) throws {
        do {
            var reader = JSONReader(bytes)
            var valueCount = 0
            self = try Self.value(&reader, &valueCount)
            try reader.end()
        } catch let JSONProblem.malformed(position, expected, found) {
            throw CheckpointError.malformed(
                path: origin, format: format, location: "byte \(offset + position)", expected: expected, found: found)
        } catch let JSONProblem.limitExceeded(what, limit, found) {
            throw CheckpointError.limitExceeded(path: origin, format: format, what: what, limit: limit, found: found)
        }
    }

    /// Reads the file at `path`, which may have at most `maximumByteCount` bytes.
    public init(contentsOf path: String, maximumByteCount: Int = 1 << 24) throws {
        let view = ByteView(file: try MappedFile(path: path), format: "JSON")
        guard view.count <= maximumByteCount else {
            throw view.limitExceeded("bytes", limit: maximumByteCount, found: view.count)
        }
        try self.init(parsing: view.withBytes { Array($0) }, origin: path)
    }

    private static func value(_ reader: inout JSONReader, _ valueCount: inout Int) throws -> JSONValue {
        valueCount += 1
        guard valueCount <= maximumValues else {
            throw JSONProblem.limitExceeded(what: "values", limit: maximumValues, found: valueCount)
        }
        switch try reader.nextKind() {
        case .null:
            try reader.null()
            return .null
        case .boolean: return .boolean(try reader.boolean())
        case .string: return .string(try reader.string())
        case .number:
            switch try reader.number() {
            case .integer(let value): return .integer(value)
            case .number(let value): return .number(value)
            }
        case .array:
            var elements: [JSONValue] = []
            try reader.beginArray()
            while try reader.nextElement() { elements.append(try value(&reader, &valueCount)) }
            return .array(elements)
        case .object:
            var members: [Member] = []
            var keys: Set<String> = []
            try reader.beginObject()
            while let key = try reader.nextKey() {
                guard keys.insert(key).inserted else {
                    throw JSONProblem.malformed(
                        position: reader.keyPosition, expected: "each key once", found: "'\(key.prefix(100))' again")
                }
                members.append(Member(key: key, value: try value(&reader, &valueCount)))
            }
            return .object(members)
        }
    }
}

extension JSONValue {
    /// `text` as a JSON string, in quotes.
    package static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F:
                result += "\\u" + String(String(0x10000 + scalar.value, radix: 16).dropFirst())
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
