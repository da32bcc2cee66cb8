// A strict JSON reader (RFC 8259) for untrusted headers and configurations: bounded depth and size, no duplicate keys.
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
    /// Nesting deeper than this is refused.
    static let maximumDepth = 64
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
        var reader = JSONReader(bytes: bytes, origin: origin, format: format, offset: offset)
        self = try reader.document()
    }

    /// Reads the file at `path`, which may have at most `maximumByteCount` bytes.
    public init(contentsOf path: String, maximumByteCount: Int = 1 << 24) throws {
        let view = ByteView(file: try MappedFile(path: path), format: "JSON")
        guard view.count <= maximumByteCount else {
            throw view.limitExceeded("bytes", limit: maximumByteCount, found: view.count)
        }
        try self.init(parsing: view.withBytes { Array($0) }, origin: path)
    }
}

private struct JSONReader {
    let bytes: [UInt8]
    let origin: String
    let format: String
    let offset: Int
    var position = 0
    var valueCount = 0

    init(bytes: [UInt8], origin: String, format: String, offset: Int) {
        self.bytes = bytes
        self.origin = origin
        self.format = format
        self.offset = offset
    }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    mutating func document() throws -> JSONValue {
        let value = try value(depth: 0)
        skipSpace()
        guard position == bytes.count else { throw unexpected("the end of the document") }
        return value
    }

    private mutating func value(depth: Int) throws -> JSONValue {
        guard depth < JSONValue.maximumDepth else {
            throw limit("nesting", JSONValue.maximumDepth, depth + 1)
        }
        valueCount += 1
        guard valueCount <= JSONValue.maximumValues else {
            throw limit("values", JSONValue.maximumValues, valueCount)
        }
        skipSpace()
        switch next {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .boolean(true))
        case UInt8(ascii: "f"): return try word("false", .boolean(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: return try number()
        }
    }

    private mutating func object(depth: Int) throws -> JSONValue {
        position += 1
        var members: [JSONValue.Member] = []
        var keys: Set<String> = []
        skipSpace()
        if take("}") { return .object([]) }
        repeat {
            skipSpace()
            guard next == UInt8(ascii: "\"") else { throw unexpected("a key in quotes") }
            let keyPosition = position
            let key = try string()
            guard keys.insert(key).inserted else {
                throw error(at: keyPosition, expected: "each key once", found: "'\(key.prefix(100))' again")
            }
            skipSpace()
            guard take(":") else { throw unexpected("':'") }
            members.append(JSONValue.Member(key: key, value: try value(depth: depth + 1)))
            skipSpace()
        } while take(",")
        guard take("}") else { throw unexpected("',' or '}'") }
        return .object(members)
    }

    private mutating func array(depth: Int) throws -> JSONValue {
        position += 1
        var elements: [JSONValue] = []
        skipSpace()
        if take("]") { return .array([]) }
        repeat {
            elements.append(try value(depth: depth + 1))
            skipSpace()
        } while take(",")
        guard take("]") else { throw unexpected("',' or ']'") }
        return .array(elements)
    }

    private mutating func string() throws -> String {
        let opening = position
        position += 1
        let start = position
        // Most strings have no escapes: take them whole.
        while let byte = next, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { position += 1 }
        if next == UInt8(ascii: "\"") {
            defer { position += 1 }
            return try text(bytes[start..<position], at: opening)
        }
        var content = Array(bytes[start..<position])
        while let byte = next {
            position += 1
            switch byte {
            case UInt8(ascii: "\""): return try text(content[...], at: opening)
            case UInt8(ascii: "\\"): content.append(contentsOf: Array(String(try escape()).utf8))
            case 0..<0x20:
                position -= 1
                throw unexpected("no control character inside a string")
            default: content.append(byte)
            }
        }
        throw unexpected("the closing quote of a string")
    }

    /// The character after a backslash.
    private mutating func escape() throws -> Character {
        guard let byte = next else { throw unexpected("an escaped character") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Character(Unicode.Scalar(byte))
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            let first = try codeUnit()
            if let scalar = Unicode.Scalar(UInt32(first)) { return Character(scalar) }
            guard first < 0xDC00, take("\\"), take("u") else { throw unexpected("a pair of surrogates") }
            let second = try codeUnit()
            guard 0xDC00..<0xE000 ~= second,
                let scalar = Unicode.Scalar(0x10000 + (UInt32(first) - 0xD800) << 10 + (UInt32(second) - 0xDC00))
            else { throw unexpected("a pair of surrogates") }
            return Character(scalar)
        default:
            position -= 1
            throw unexpected("a known escape")
        }
    }

    private mutating func codeUnit() throws -> UInt16 {
        var value: UInt16 = 0
        for _ in 0..<4 {
            guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw unexpected("four hexadecimal digits")
            }
            position += 1
            value = value << 4 | UInt16(digit)
        }
        return value
    }

    private mutating func number() throws -> JSONValue {
        let start = position
        _ = take("-")
        let leading = next
        let wholeDigits = skipDigits()
        guard wholeDigits > 0, wholeDigits == 1 || leading != UInt8(ascii: "0") else {
            position = start
            throw unexpected("a value")
        }
        var isInteger = true
        if take(".") {
            isInteger = false
            guard skipDigits() > 0 else { throw unexpected("a digit") }
        }
        if take("e") || take("E") {
            isInteger = false
            if !take("+") { _ = take("-") }
            guard skipDigits() > 0 else { throw unexpected("a digit") }
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if isInteger, let value = Int(text) { return .integer(value) }
        guard let value = Double(text), value.isFinite else {
            throw error(at: start, expected: "a number within the range of Double", found: String(text.prefix(40)))
        }
        return .number(value)
    }

    private mutating func skipDigits() -> Int {
        let start = position
        while let byte = next, UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte { position += 1 }
        return position - start
    }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard next == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private mutating func word(_ word: String, _ value: JSONValue) throws -> JSONValue {
        guard bytes[position...].starts(with: word.utf8) else { throw unexpected("a value") }
        position += word.utf8.count
        return value
    }

    private func text(_ content: ArraySlice<UInt8>, at start: Int) throws -> String {
        guard let text = String(validating: content, as: UTF8.self) else {
            throw error(at: start, expected: "UTF-8 text", found: "other bytes")
        }
        return text
    }

    private func unexpected(_ expected: String) -> CheckpointError {
        let found = next.map { 0x21..<0x7F ~= $0 ? "'\(Unicode.Scalar($0))'" : "byte \($0)" } ?? "the end"
        return error(at: position, expected: expected, found: found)
    }

    private func error(at position: Int, expected: String, found: String) -> CheckpointError {
        .malformed(
            path: origin, format: format, location: "byte \(offset + position)", expected: expected, found: found)
    }

    private func limit(_ what: String, _ limit: Int, _ found: Int) -> CheckpointError {
        .limitExceeded(path: origin, format: format, what: what, limit: limit, found: found)
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
