// The only place of this target that touches a mapped file's memory: every read is checked against the view's bounds and throws.

import Tensors

/// Part of a mapped file of untrusted bytes. Offsets are relative to the part; errors report offsets in the whole file.
struct ByteView: Sendable {
    let file: MappedFile
    /// The name of the format being read, for errors.
    let format: String
    /// Where in the file the part begins.
    let start: Int
    let count: Int

    init(file: MappedFile, format: String) {
        self.init(file: file, format: format, start: 0, count: file.bytes.count)
    }

    private init(file: MappedFile, format: String, start: Int, count: Int) {
        self.file = file
        self.format = format
        self.start = start
        self.count = count
    }

    /// The bytes from `offset` on.
    func view(at offset: Int, count: Int) throws -> ByteView {
        try check(offset, count)
        return ByteView(file: file, format: format, start: start + offset, count: count)
    }

    @inline(__always)
    func byte(at offset: Int) throws -> UInt8 {
        guard offset >= 0, offset < count else { throw truncated(at: offset, needed: 1) }
        return file.bytes[start + offset]
    }

    /// A little-endian integer.
    func integer<Value: FixedWidthInteger & BitwiseCopyable>(_ type: Value.Type, at offset: Int) throws -> Value {
        try check(offset, MemoryLayout<Value>.size)
        return Value(littleEndian: file.bytes.loadUnaligned(fromByteOffset: start + offset, as: type))
    }

    /// An unsigned 64-bit size or offset.
    func size(at offset: Int) throws -> Int {
        let value = try integer(UInt64.self, at: offset)
        guard let size = Int(exactly: value) else {
            throw malformed(at: offset, expected: "a size below 2^63", found: "\(value)")
        }
        return size
    }

    /// UTF-8 text.
    func text(at offset: Int, count: Int) throws -> String {
        try check(offset, count)
        let bytes = file.bytes[start + offset..<start + offset + count]
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw malformed(at: offset, expected: "UTF-8 text", found: "other bytes")
        }
        return text
    }

    /// All of the part's bytes, in place.
    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        try withExtendedLifetime(file) {
            try body(UnsafeRawBufferPointer(rebasing: file.bytes[start..<start + count]))
        }
    }

    func starts(with prefix: [UInt8]) -> Bool {
        withBytes { $0.starts(with: prefix) }
    }

    func malformed(at offset: Int, expected: String, found: String) -> CheckpointError {
        let (position, overflow) = start.addingReportingOverflow(offset)
        return .malformed(
            path: file.path, format: format, location: overflow ? "byte \(offset)" : "byte \(position)",
            expected: expected, found: found)
    }

    func malformed(_ location: String, expected: String, found: String) -> CheckpointError {
        .malformed(path: file.path, format: format, location: location, expected: expected, found: found)
    }

    func unsupported(_ found: String, advice: String) -> CheckpointError {
        .unsupported(path: file.path, format: format, found: found, advice: advice)
    }

    func limitExceeded(_ what: String, limit: Int, found: Int) -> CheckpointError {
        .limitExceeded(path: file.path, format: format, what: what, limit: limit, found: found)
    }

    private func check(_ offset: Int, _ needed: Int) throws {
        guard offset >= 0, needed >= 0, offset <= count, needed <= count - offset else {
            throw truncated(at: offset, needed: needed)
        }
    }

    private func truncated(at offset: Int, needed: Int) -> CheckpointError {
        let available = offset >= 0 && offset <= count ? count - offset : 0
        return malformed(at: offset, expected: "\(needed) more byte\(needed == 1 ? "" : "s")", found: "\(available)")
    }
}
