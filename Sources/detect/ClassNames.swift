// Names for classes, and choosing classes by name: `--names` and `--classes`.

import Checkpoint
import Tensors

/// Reads a file of class names.
enum ClassNames {
    /// More classes than any detector has; bounds what a file's numbers can cost.
    private static let maximumCount = 65_536

    /// Names for a model that has `count` classes.
    ///
    /// - Throws: as ``read(_:)``, and when the file has more names.
    static func read(_ path: String, count: Int) throws -> [String?] {
        let names = try read(path)
        guard names.count <= count else {
            throw failure(path, "at most \(count), as many as the model has classes", "\(names.count)")
        }
        return names + Array(repeating: nil, count: count - names.count)
    }

    /// - Returns: names by class id; nil where the file has none.
    /// - Throws: ``Failure`` or a library's error when the file is none of the known forms: a name a line (the first is
    ///   class 0), a JSON array, a JSON object `{"0": "name"}`, or a `config.json` with `id2label`.
    private static func read(_ path: String) throws -> [String?] {
        let file = try MappedFile(path: path)
        guard file.bytes.count <= 1 << 24 else { throw failure(path, "a file of at most 16 MiB", "a larger one") }
        let bytes = withExtendedLifetime(file) {
            // A byte order mark says nothing in UTF-8.
            Array(file.bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? file.bytes[3...] : file.bytes[...])
        }
        let firstVisible = bytes.first { !" \t\r\n".utf8.contains($0) }
        if firstVisible == UInt8(ascii: "[") || firstVisible == UInt8(ascii: "{") {
            return try names(in: try JSONValue(parsing: bytes, origin: path), path)
        }
        guard let text = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
            throw failure(path, "text in UTF-8, a name a line", "other bytes")
        }
        var lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
            .map { trimmed($0) }
        while lines.last?.isEmpty == true { lines.removeLast() }
        guard !lines.isEmpty else { throw failure(path, "a name a line", "no names") }
        guard lines.count <= maximumCount else {
            throw failure(path, "at most \(maximumCount) names", "\(lines.count)")
        }
        return lines.map { $0.isEmpty ? nil : $0 }
    }

    private static func names(in value: JSONValue, _ path: String) throws -> [String?] {
        if let labels = value["id2label"] { return try names(in: labels, path) }
        switch value {
        case .array(let elements):
            guard elements.count <= maximumCount else {
                throw failure(path, "at most \(maximumCount) names", "\(elements.count)")
            }
            return try elements.map { element in
                switch element {
                case .string(let name): name
                case .null: nil
                default: throw failure(path, "an array of names", element.kind)
                }
            }
        case .object(let members):
            var result: [String?] = []
            for member in members {
                guard let id = Int(member.key), 0..<maximumCount ~= id else {
                    throw failure(path, "class ids below \(maximumCount) as keys, or \"id2label\"", "'\(member.key)'")
                }
                guard case .string(let name) = member.value else {
                    throw failure(path, "a name for class \(id)", member.value.kind)
                }
                while result.count <= id { result.append(nil) }
                result[id] = name
            }
            return result
        default: throw failure(path, "a JSON array or object of names", value.kind)
        }
    }

    private static func failure(_ path: String, _ expected: String, _ found: String) -> Failure {
        Failure(code: "names", "\(path): class names: expected \(expected), found \(found)")
    }
}

/// The classes that `--classes` asks for.
enum ClassSelection {
    /// - Parameters:
    ///   - wanted: names or ids.
    ///   - names: the model's class names by id; nil for a class without.
    /// - Returns: class ids.
    /// - Throws: ``UsageError`` naming the known names that are closest to an unknown one.
    static func ids(for wanted: [String], among names: [String?]) throws -> Set<Int> {
        var ids: Set<Int> = []
        for word in wanted {
            let exact = names.indices.filter { names[$0] == word }
            let found = exact.isEmpty ? names.indices.filter { names[$0]?.lowercased() == word.lowercased() } : exact
            if !found.isEmpty {
                ids.formUnion(found)
            } else if let id = Int(word) {
                guard names.indices.contains(id) else {
                    throw UsageError("--classes: expected a class id from 0 to \(names.count - 1), found \(id)")
                }
                ids.insert(id)
            } else {
                throw unknown(word, names.compactMap { $0 })
            }
        }
        return ids
    }

    private static func unknown(_ word: String, _ known: [String]) -> UsageError {
        guard !known.isEmpty else {
            return UsageError(
                "--classes: '\(word)': these weights carry no class names; give ids, or names with --names FILE")
        }
        let closest = known.map { (name: $0, distance: distance(word.lowercased(), $0.lowercased())) }
            .sorted { ($0.distance, $0.name) < ($1.distance, $1.name) }.prefix(3).map { "'\($0.name)'" }
        return UsageError(
            "--classes: no class is named '\(word)'; the closest of \(known.count) are \(closest.joined(separator: ", "))"
        )
    }

    /// The Levenshtein distance: insertions, deletions and replacements between two words of up to 100 characters.
    private static func distance(_ left: String, _ right: String) -> Int {
        let right = Array(right.prefix(100))
        var row = Array(0...right.count)
        for (index, character) in left.prefix(100).enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for column in right.indices {
                let replaced = diagonal + (right[column] == character ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(replaced, diagonal + 1, row[column] + 1)
            }
        }
        return row[right.count]
    }
}

/// Without spaces at either end.
func trimmed(_ text: some StringProtocol) -> String {
    var rest = text[...]
    while rest.first?.isWhitespace == true { rest = rest.dropFirst() }
    while rest.last?.isWhitespace == true { rest = rest.dropLast() }
    return String(rest)
}
