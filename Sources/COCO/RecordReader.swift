// How the arrays of a COCO file are read: object by object, with errors that say which one is wrong. Values that nobody asks
// for, such as outlines, are checked and passed over without being kept.

import Checkpoint
import Tensors

/// What is known of one object of an array while its fields are read, in any order.
protocol RecordDraft {
    associatedtype Record
    init()
    /// Reads or skips the value of `field`.
    mutating func read(_ field: String, from reader: inout RecordReader) throws
    /// The whole, when all fields have been read.
    func record(_ reader: RecordReader) throws -> Record
}

/// Reads one COCO file. Everything it throws is a ``COCOError``, or a `FileError` of the system.
struct RecordReader {
    /// COCO's largest file has half a gigabyte.
    static let maximumByteCount = 1 << 31
    /// Coordinates are pixels, so no honest one is larger; their products stay far from the end of Double.
    static let maximumCoordinate = 1e12

    let path: String
    private var json: JSONReader
    /// Where the reader is: the array's name, the object's place in it and its id.
    private var section: String?
    private var index = 0
    private var id: Int?
    /// The field that is being read.
    private var field: String?
    /// Whether its value has been asked for. Only such fields are checked for being there twice: there are few of them.
    private var fieldIsUsed = true
    private var usedFields: [String] = []
    /// The first wrong value of the object; thrown at the object's end, when its id is known.
    private var problem: (field: String?, expected: String, found: String)?

    /// Reads all of `bytes` with `body`.
    static func read<Result>(
        _ bytes: [UInt8], origin: String, _ body: (inout RecordReader) throws -> Result
    ) throws -> Result {
        var reader = RecordReader(path: origin, json: JSONReader(bytes))
        do {
            let result = try body(&reader)
            reader.section = nil
            try reader.json.end()
            return result
        } catch let JSONProblem.malformed(position, expected, found) {
            reader.field = nil
            let place = [reader.location, "byte \(position)"].compactMap { $0 }.joined(separator: ", ")
            throw COCOError(path: origin, location: place, expected: expected, found: found)
        } catch let JSONProblem.limitExceeded(what, limit, found) {
            throw reader.error(expected: "\(what) of at most \(limit)", found: "\(found)")
        }
    }

    /// Reads the file at `path` with `body`.
    static func read<Result>(contentsOf path: String, _ body: (inout RecordReader) throws -> Result) throws -> Result {
        let file = try MappedFile(path: path)
        guard file.bytes.count <= maximumByteCount else {
            throw COCOError(
                path: path, location: "size", expected: "at most \(maximumByteCount) bytes",
                found: "\(file.bytes.count)")
        }
        return try read(withExtendedLifetime(file) { Array(file.bytes) }, origin: path, body)
    }

    private init(path: String, json: JSONReader) {
        self.path = path
        self.json = json
    }

    // MARK: Structure

    /// Reads the document's object: `body` reads or skips the value of each member.
    mutating func topLevelObject(expected: String, _ body: (inout RecordReader, String) throws -> Void) throws {
        guard try json.nextKind() == .object else {
            throw error(at: "the document", expected: expected, found: try valueAsText())
        }
        var members: Set<String> = []
        try json.beginObject()
        while let key = try json.nextKey() {
            guard members.insert(key).inserted else {
                throw error(at: Self.quoted(key), expected: "it once", found: "it twice")
            }
            try body(&self, key)
        }
    }

    /// Reads an array of objects.
    mutating func records<Draft: RecordDraft>(
        _ section: String, as draft: Draft.Type, expected: String = "an array of objects"
    ) throws -> [Draft.Record] {
        guard try json.nextKind() == .array else {
            throw error(at: section, expected: expected, found: try valueAsText())
        }
        self.section = section
        index = 0
        var records: [Draft.Record] = []
        try json.beginArray()
        while try json.nextElement() {
            id = nil
            guard try json.nextKind() == .object else {
                throw error(expected: "an object", found: try valueAsText())
            }
            var draft = Draft()
            try json.beginObject()
            while let key = try json.nextKey() {
                field = key
                fieldIsUsed = true
                try draft.read(key, from: &self)
                guard fieldIsUsed else { continue }
                if usedFields.contains(key) {
                    note(expected: "it once", found: "it twice")
                } else {
                    usedFields.append(key)
                }
            }
            field = nil
            usedFields.removeAll(keepingCapacity: true)
            if let problem { throw error(at: problem.field, expected: problem.expected, found: problem.found) }
            records.append(try draft.record(self))
            index += 1
        }
        self.section = nil
        id = nil
        return records
    }

    /// Passes over a value that nobody needs.
    mutating func skip() throws {
        fieldIsUsed = false
        try json.skip()
    }

    // MARK: Values. Each is nil when something else stands there, which `records` throws for at the object's end.

    /// The object's own id, which errors name from now on.
    mutating func ownID() throws -> Int? {
        id = try integer()
        return id
    }

    mutating func integer() throws -> Int? {
        guard try expect(.number, "an integer") else { return nil }
        switch try json.number() {
        case .integer(let value): return value
        // 42.0 is what tables of floating-point numbers make of 42.
        case .number(let value):
            if let integer = Int(exactly: value) { return integer }
            return wrong(expected: "an integer", found: "\(value)")
        }
    }

    /// A number from `range`.
    mutating func number(in range: ClosedRange<Double>, _ expected: String) throws -> Double? {
        guard try expect(.number, expected) else { return nil }
        let value =
            switch try json.number() {
            case .integer(let value): Double(value)
            case .number(let value): value
            }
        return range.contains(value) ? value : wrong(expected: expected, found: "\(value)")
    }

    mutating func text() throws -> String? {
        try expect(.string, "a string") ? try json.string() : nil
    }

    /// `[x, y, width, height]`.
    mutating func box() throws -> SizedBox? {
        let expected = "four numbers [x, y, width, height] of at most \(Self.maximumCoordinate)"
        guard try expect(.array, expected) else { return nil }
        var sides: [Double] = []
        var count = 0
        try json.beginArray()
        while try json.nextElement() {
            count += 1
            if let side = try number(in: -Self.maximumCoordinate...Self.maximumCoordinate, expected) {
                sides.append(side)
            }
        }
        guard count == 4 else { return wrong(expected: expected, found: "\(count)") }
        return sides.count == 4 ? SizedBox(x: sides[0], y: sides[1], width: sides[2], height: sides[3]) : nil
    }

    /// 0, 1, false or true.
    mutating func flag() throws -> Bool? {
        if try json.nextKind() == .boolean { return try json.boolean() }
        return try number(in: 0...1, "0 or 1").flatMap { value in
            value == 0 || value == 1 ? value == 1 : wrong(expected: "0 or 1", found: "\(value)")
        }
    }

    /// Whether null stands here; it is read then.
    mutating func isNull() throws -> Bool {
        guard try json.nextKind() == .null else { return false }
        try json.null()
        return true
    }

    /// Whether a value of `kind` follows; another one is passed over and noted.
    private mutating func expect(_ kind: JSONReader.Kind, _ expected: String) throws -> Bool {
        if try json.nextKind() == kind { return true }
        note(expected: expected, found: try valueAsText())
        return false
    }

    /// Reads past a value and says what it was.
    private mutating func valueAsText() throws -> String {
        switch try json.nextKind() {
        case .null:
            try json.null()
            return "null"
        case .boolean: return "\(try json.boolean())"
        case .string: return Self.quoted(try json.string())
        case .number:
            switch try json.number() {
            case .integer(let value): return "\(value)"
            case .number(let value): return "\(value)"
            }
        case .array:
            try json.skip()
            return "an array"
        case .object:
            try json.skip()
            return "an object"
        }
    }

    // MARK: Errors

    /// Remembers the object's first wrong value.
    mutating func note(expected: String, found: String) {
        if problem == nil { problem = (field, expected, found) }
    }

    /// Remembers that a value is wrong, and gives nil in its place.
    mutating func wrong<Value>(expected: String, found: String) -> Value? {
        note(expected: expected, found: found)
        return nil
    }

    /// `value`, or an error that `field` is missing.
    func required<Value>(_ value: Value?, _ field: String, _ expected: String) throws -> Value {
        guard let value else { throw error(at: field, expected: expected, found: "none") }
        return value
    }

    /// An error about the object that is being read, or about its `field`.
    func error(at field: String? = nil, expected: String, found: String) -> COCOError {
        let place = [location, field.map(Self.printable)].compactMap { $0 }.joined(separator: ", ")
        return COCOError(path: path, location: place.isEmpty ? "the document" : place, expected: expected, found: found)
    }

    private var location: String? { section.map { Self.place($0, index, id: id) } }

    /// `annotations[3] (id 17)`.
    static func place(_ section: String, _ index: Int, id: Int?) -> String {
        "\(section)[\(index)]" + (id.map { " (id \($0))" } ?? "")
    }

    private static func quoted(_ text: String) -> String { "'\(printable(text))'" }

    private static func printable(_ text: String) -> String { String(text.prefix(40)).replacingControlCharacters }
}
