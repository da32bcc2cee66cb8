// The file `metrics.jsonl`: reading its lines back, cutting it where a resumed training goes on, appending to it.

import Checkpoint
import Tensors

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A file of metrics that cannot be used.
struct MetricsError: DiagnosedError, Equatable {
    let path: String
    /// From 1 on; nil for the file as a whole.
    let line: Int?
    let expected: String
    let found: String

    var code: String { "malformed_metrics" }

    var description: String {
        guard let line else { return "\(path): expected \(expected), found \(found)".printable }
        return "\(path): line \(line): expected \(expected), found \(found); without that line the training can go on"
            .printable
    }
}

extension TrainingMetrics {
    /// A line for every 20 of some thirty million steps.
    static let maximumByteCount = 1 << 30

    /// Reads `metrics.jsonl`. Its last line may be damaged or unfinished, as a power cut leaves it, and is then left out.
    ///
    /// - Throws: ``MetricsError`` naming the line, or `FileError`.
    init(contentsOf path: String) throws {
        let file = try MappedFile(path: path)
        guard file.bytes.count <= Self.maximumByteCount else {
            throw MetricsError(
                path: path, line: nil, expected: "at most \(Self.maximumByteCount) bytes",
                found: "\(file.bytes.count)")
        }
        try self.init(parsing: Array(file.bytes), path: path)
    }

    /// - Parameter path: for errors.
    init(parsing bytes: [UInt8], path: String) throws {
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        // After a line's end follows an empty piece, which is no line.
        let count = lines.last?.isEmpty == true ? lines.count - 1 : lines.count
        for (index, line) in lines.prefix(count).enumerated() {
            do {
                try append(parsing: Array(line), path: path, line: index + 1)
            } catch is MetricsError where index == count - 1 {
                break
            }
        }
    }

    private mutating func append(parsing bytes: [UInt8], path: String, line: Int) throws {
        let value: JSONValue
        do {
            value = try JSONValue(parsing: bytes, origin: path)
        } catch let CheckpointError.malformed(_, _, location, expected, found) {
            throw MetricsError(path: path, line: line, expected: "\(expected) at \(location)", found: found)
        } catch let CheckpointError.limitExceeded(_, _, what, limit, found) {
            throw MetricsError(path: path, line: line, expected: "at most \(limit) \(what)", found: "\(found)")
        }
        let record = MetricsRecord(value: value, path: path, line: line)
        switch value["event"] {
        case .string("step"): steps.append(try StepMetrics(record))
        case .string("validation"): validations.append(try ValidationMetrics(record))
        case let other: throw record.unexpected("event 'step' or 'validation'", other)
        }
    }

    /// Leaves out what came after a step.
    mutating func truncate(afterStep step: Int) {
        steps.removeAll { $0.step > step }
        validations.removeAll { $0.step > step }
    }
}

/// One line as a value, with errors that say where it is.
private struct MetricsRecord {
    let value: JSONValue
    let path: String
    let line: Int

    func unexpected(_ expected: String, _ found: JSONValue?) -> MetricsError {
        MetricsError(path: path, line: line, expected: expected, found: found?.kind ?? "nothing")
    }

    /// The same line's error messages for a part of it.
    func part(_ value: JSONValue) -> MetricsRecord { MetricsRecord(value: value, path: path, line: line) }

    func number(_ key: String) throws -> Double { try number(value[key], as: "a number or null as \(key)") }

    /// `null` is not a number.
    func number(_ value: JSONValue?, as expected: String) throws -> Double {
        switch value {
        case .integer(let value): Double(value)
        case .number(let value): value
        case .null: .nan
        default: throw unexpected(expected, value)
        }
    }

    func count(_ key: String) throws -> Int {
        guard case .integer(let count)? = value[key], count >= 0 else {
            throw unexpected("a whole number from 0 on as \(key)", value[key])
        }
        return count
    }

    func boolean(_ key: String) throws -> Bool {
        guard case .boolean(let flag)? = value[key] else { throw unexpected("true or false as \(key)", value[key]) }
        return flag
    }

    func string(_ key: String) throws -> String {
        guard case .string(let text)? = value[key] else { throw unexpected("a string as \(key)", value[key]) }
        return text
    }

    func array(_ key: String) throws -> [JSONValue] {
        guard case .array(let elements)? = value[key] else { throw unexpected("an array as \(key)", value[key]) }
        return elements
    }

    func members(_ key: String) throws -> [JSONValue.Member] {
        guard case .object(let members)? = value[key] else { throw unexpected("an object as \(key)", value[key]) }
        return members
    }
}

extension StepMetrics {
    fileprivate init(_ record: MetricsRecord) throws {
        self.init(
            step: try record.count("step"), epoch: try record.number("epoch"), loss: try record.number("loss"),
            terms: try record.members("terms").map { member in
                Term(name: member.key, value: try record.number(member.value, as: "numbers or null in terms"))
            },
            learningRate: try record.number("learning_rate"), gradientNorm: try record.number("gradient_norm"),
            imagesPerSecond: try record.number("images_per_second"), seconds: try record.number("seconds"))
    }
}

extension ValidationMetrics {
    fileprivate init(_ record: MetricsRecord) throws {
        let statistics = try record.array("stats").map { value in
            let number = try record.number(value, as: "numbers in stats")
            guard -1...1 ~= number else { throw record.unexpected("numbers from -1 to 1 in stats", value) }
            return number
        }
        guard statistics.count == Self.statisticCount else {
            throw record.unexpected("\(Self.statisticCount) numbers in stats", .integer(statistics.count))
        }
        self.init(
            step: try record.count("step"), epoch: try record.number("epoch"), statistics: statistics,
            classes: try record.array("per_class").map { value in
                let score = record.part(value)
                return ClassScore(
                    name: try score.string("name"), objects: try score.count("objects"),
                    averagePrecision: try score.number("ap"), averagePrecision50: try score.number("ap50"))
            }, seconds: try record.number("seconds"), isBest: try record.boolean("is_best"))
    }
}

// MARK: - Writing

/// Keeps a training's metrics, in memory and in its file. Used by one thread at a time.
final class MetricsLog {
    let path: String
    /// All that is in the file.
    private(set) var metrics: TrainingMetrics
    private let descriptor: Int32

    /// Begins a new file in place of one that is there.
    ///
    /// - Throws: `FileError`.
    convenience init(startingAt path: String) throws {
        try self.init(path: path, beginning: TrainingMetrics())
    }

    /// Goes on with the file of a training that resumes after `step`: what it reported later, or not to the end, is dropped.
    /// A file that is not there is begun.
    ///
    /// - Throws: ``MetricsError`` for a file with damage elsewhere than at its end, or `FileError`.
    convenience init(resuming path: String, afterStep step: Int) throws {
        var metrics = TrainingMetrics()
        if access(path, F_OK) == 0 { metrics = try TrainingMetrics(contentsOf: path) }
        metrics.truncate(afterStep: step)
        try self.init(path: path, beginning: metrics)
    }

    private init(path: String, beginning metrics: TrainingMetrics) throws {
        try AtomicFile.write(Self.text(of: metrics).utf8, to: path)
        self.path = path
        self.metrics = metrics
        descriptor = open(path, O_WRONLY | O_APPEND | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError(path: path, action: "open", systemCode: errno) }
    }

    deinit { close(descriptor) }

    /// All lines in order of their steps; a validation comes after the steps before it.
    private static func text(of metrics: TrainingMetrics) -> String {
        let lines =
            metrics.steps.map { (step: $0.step, kind: 0, text: $0.json) }
            + metrics.validations.map { (step: $0.step, kind: 1, text: $0.json) }
        return lines.enumerated().sorted {
            ($0.element.step, $0.element.kind, $0.offset) < ($1.element.step, $1.element.kind, $1.offset)
        }.map(\.element.text).joined()
    }

    /// Adds a line, which other programs see at once.
    ///
    /// - Throws: `FileError`.
    func append(_ step: StepMetrics) throws {
        try write(step.json)
        metrics.steps.append(step)
    }

    /// Adds a line, which other programs see at once.
    ///
    /// - Throws: `FileError`.
    func append(_ validation: ValidationMetrics) throws {
        try write(validation.json)
        metrics.validations.append(validation)
    }

    private func write(_ line: String) throws {
        try Array(line.utf8).withUnsafeBytes { bytes in
            var rest = bytes
            while !rest.isEmpty {
                let written = systemWrite(descriptor, rest)
                if written < 0, errno == EINTR { continue }
                guard written >= 0 else { throw FileError(path: path, action: "write", systemCode: errno) }
                rest = UnsafeRawBufferPointer(rebasing: rest[written...])
            }
        }
    }
}

private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
    #if canImport(Glibc)
        Glibc.write(descriptor, bytes.baseAddress, bytes.count)
    #else
        Darwin.write(descriptor, bytes.baseAddress, bytes.count)
    #endif
}
