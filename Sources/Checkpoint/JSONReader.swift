// A strict pull reader for JSON (RFC 8259) of untrusted bytes: the caller asks for what it expects, and nothing is kept that it
// does not ask for. `JSONValue` is built with it; files of hundreds of megabytes are read with it directly.

/// Why bytes are not the JSON that was asked for.
package enum JSONProblem: Error, Equatable {
    /// `position` counts the document's bytes.
    case malformed(position: Int, expected: String, found: String)
    case limitExceeded(what: String, limit: Int, found: Int)
}

/// Reads one JSON document from its beginning to its end. Every method throws ``JSONProblem``.
package struct JSONReader {
    /// Nesting deeper than this is refused.
    package static let maximumDepth = 64

    /// What a value is.
    package enum Kind { case null, boolean, number, string, array, object }

    package enum Number: Equatable {
        /// Without fraction or exponent, and within `Int`.
        case integer(Int)
        /// Finite.
        case number(Double)
    }

    private let bytes: [UInt8]
    /// The byte to be read next.
    package private(set) var position = 0
    /// Where the key that ``nextKey()`` returned last begins.
    package private(set) var keyPosition = 0
    private var depth = 0
    /// Whether the innermost array or object has just been opened.
    private var isFirst = false

    /// - Parameter bytes: UTF-8; a byte order mark before the document says nothing and is passed over, as section 8.1 of the
    ///   RFC allows.
    package init(_ bytes: [UInt8]) {
        self.bytes = bytes
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
    }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    /// The kind of the next value, which is not read yet.
    package mutating func nextKind() throws -> Kind {
        skipSpace()
        switch next {
        case UInt8(ascii: "{"): return .object
        case UInt8(ascii: "["): return .array
        case UInt8(ascii: "\""): return .string
        case UInt8(ascii: "t"), UInt8(ascii: "f"): return .boolean
        case UInt8(ascii: "n"): return .null
        case let byte? where byte == UInt8(ascii: "-") || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte: return .number
        default: throw unexpected("a value")
        }
    }

    /// Checks that nothing but space is left.
    package mutating func end() throws {
        skipSpace()
        guard position == bytes.count else { throw unexpected("the end of the document") }
    }

    // MARK: Objects and arrays

    /// Enters an object, whose members ``nextKey()`` visits.
    package mutating func beginObject() throws { try begin("{") }

    /// The next member's key, whose value must be read or skipped next; nil at the object's end.
    package mutating func nextKey() throws -> String? {
        guard try !isAtEnd("}") else { return nil }
        guard next == UInt8(ascii: "\"") else { throw unexpected("a key in quotes") }
        keyPosition = position
        let key = try string()
        skipSpace()
        guard take(":") else { throw unexpected("':'") }
        return key
    }

    /// Enters an array, whose elements ``nextElement()`` visits.
    package mutating func beginArray() throws { try begin("[") }

    /// Whether there is another element, which must be read or skipped next.
    package mutating func nextElement() throws -> Bool { try !isAtEnd("]") }

    private mutating func begin(_ bracket: Unicode.Scalar) throws {
        skipSpace()
        guard take(bracket) else { throw unexpected("'\(bracket)'") }
        depth += 1
        guard depth <= Self.maximumDepth else {
            throw JSONProblem.limitExceeded(what: "nesting", limit: Self.maximumDepth, found: depth)
        }
        isFirst = true
    }

    private mutating func isAtEnd(_ bracket: Unicode.Scalar) throws -> Bool {
        skipSpace()
        if take(bracket) {
            depth -= 1
            isFirst = false
            return true
        }
        guard isFirst || take(",") else { throw unexpected("',' or '\(bracket)'") }
        isFirst = false
        skipSpace()
        return false
    }

    /// Reads past the next value, whatever it is.
    package mutating func skip() throws {
        switch try nextKind() {
        case .null: try null()
        case .boolean: _ = try boolean()
        case .number: _ = try scanNumber()
        case .string: _ = try string()
        case .array:
            try beginArray()
            while try nextElement() { try skip() }
        case .object:
            try beginObject()
            while try nextKey() != nil { try skip() }
        }
    }

    // MARK: Words and numbers

    package mutating func null() throws { try word("null") }

    package mutating func boolean() throws -> Bool {
        skipSpace()
        let value = next == UInt8(ascii: "t")
        try word(value ? "true" : "false")
        return value
    }

    private mutating func word(_ word: StaticString) throws {
        skipSpace()
        let isFound = word.withUTF8Buffer { bytes[position...].starts(with: $0) }
        guard isFound else { throw unexpected("a value") }
        position += word.utf8CodeUnitCount
    }

    package mutating func number() throws -> Number {
        skipSpace()
        let start = position
        let scanned = try scanNumber()
        let sign = scanned.isNegative ? -1 : 1
        if let significand = scanned.significand {
            if scanned.isInteger { return .integer(sign * significand) }
            // Both factors are exact in Double, so the one rounding is the right one (Clinger 1990).
            if significand < 1 << 53, scanned.exponent.magnitude < Self.powersOfTen.count {
                let power = Self.powersOfTen[abs(scanned.exponent)]
                let magnitude =
                    scanned.exponent < 0 ? Double(significand) / power : Double(significand) * power
                return .number(scanned.isNegative ? -magnitude : magnitude)
            }
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if scanned.isInteger, let value = Int(text) { return .integer(value) }
        guard let value = Double(text), value.isFinite else {
            throw JSONProblem.malformed(
                position: start, expected: "a number within the range of Double", found: String(text.prefix(40)))
        }
        return .number(value)
    }

    /// Those that Double has exactly.
    private static let powersOfTen = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
        1e20,
        1e21, 1e22,
    ]

    /// A number's parts: (-)significand * 10^exponent.
    private struct ScannedNumber {
        var isNegative = false
        /// Nil when it has more than 18 digits.
        var significand: Int? = 0
        var exponent = 0
        var isInteger = true
    }

    private mutating func scanNumber() throws -> ScannedNumber {
        var result = ScannedNumber()
        let start = position
        result.isNegative = take("-")
        let leading = next
        let wholeDigits = scanDigits(into: &result.significand)
        guard wholeDigits > 0, wholeDigits == 1 || leading != UInt8(ascii: "0") else {
            position = start
            throw unexpected("a value")
        }
        if take(".") {
            result.isInteger = false
            let digits = scanDigits(into: &result.significand)
            guard digits > 0 else { throw unexpected("a digit") }
            result.exponent = -digits
        }
        if take("e") || take("E") {
            result.isInteger = false
            let isNegative = !take("+") && take("-")
            var power: Int? = 0
            guard scanDigits(into: &power) > 0 else { throw unexpected("a digit") }
            if let power {
                result.exponent += isNegative ? -power : power
            } else {
                result.significand = nil
            }
        }
        return result
    }

    /// Appends digits to `value`, which becomes nil with the nineteenth significant one: it might not fit.
    private mutating func scanDigits(into value: inout Int?) -> Int {
        let start = position
        while let byte = next, UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte {
            if let known = value {
                value = known < 100_000_000_000_000_000 ? known * 10 + Int(byte - UInt8(ascii: "0")) : nil
            }
            position += 1
        }
        return position - start
    }

    // MARK: Strings

    package mutating func string() throws -> String {
        skipSpace()
        guard next == UInt8(ascii: "\"") else { throw unexpected("a string") }
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

    private func text(_ content: ArraySlice<UInt8>, at start: Int) throws -> String {
        guard let text = String(validating: content, as: UTF8.self) else {
            throw JSONProblem.malformed(position: start, expected: "UTF-8 text", found: "other bytes")
        }
        return text
    }

    // MARK: Bytes

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard next == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private func unexpected(_ expected: String) -> JSONProblem {
        let found = next.map { 0x21..<0x7F ~= $0 ? "'\(Unicode.Scalar($0))'" : "byte \($0)" } ?? "the end"
        return .malformed(position: position, expected: expected, found: found)
    }
}
