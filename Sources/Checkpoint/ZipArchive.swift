// A zip reader for what torch.save writes and nothing more: stored records, strictly consistent.
// Source: PKWARE APPNOTE.TXT 6.3.10, sections 4.3 to 4.5; torch writes with miniz (caffe2/serialize/inline_container.cc).

import Tensors

/// The records of a zip archive, checked so that no two readers could disagree about what they are.
struct ZipArchive {
    static let signature: [UInt8] = [0x50, 0x4B, 0x03, 0x04]

    struct Record {
        let name: String
        let data: ByteView
        /// Zero means that the archive's writer did not compute one.
        let checksum: UInt32
    }

    let records: [Record]

    /// The fixed part of a record's local header, of its central entry, and of the three end records.
    private enum HeaderSize {
        static let local = 30
        static let central = 46
        static let end = 22
        static let end64 = 56
        static let locator64 = 20
    }

    private static let maximumRecordCount = 100_000

    /// The general purpose flags that change nothing for a stored record: bit 3, sizes follow the data; bit 11, UTF-8 name.
    private static let harmlessFlags: UInt16 = 1 << 3 | 1 << 11

    /// What the central directory says about a record.
    private struct Central {
        let name: String
        let nameBytes: Int
        let flags: UInt16
        let checksum: UInt32
        let size: Int
        let headerOffset: Int
    }

    init(_ bytes: ByteView) throws {
        let directory = try Directory(bytes)
        let entries = try Self.centralEntries(directory, bytes)
        try Self.requireDistinctNames(entries, bytes)
        var end = 0
        var records: [(index: Int, record: Record)] = []
        for (index, entry) in entries.enumerated().sorted(by: { $0.element.headerOffset < $1.element.headerOffset }) {
            guard entry.headerOffset >= end else {
                throw bytes.malformed(
                    at: entry.headerOffset, expected: "record '\(entry.name)' after byte \(end)", found: "an overlap")
            }
            let data = try Self.localData(entry, bytes)
            end = data.start + data.count
            guard end <= directory.start else {
                throw bytes.malformed(
                    "record '\(entry.name)'", expected: "its data before the directory at byte \(directory.start)",
                    found: "an end at byte \(end)")
            }
            records.append((index, Record(name: entry.name, data: data, checksum: entry.checksum)))
        }
        self.records = records.sorted { $0.index < $1.index }.map(\.record)
    }

    /// Where the central directory lies.
    private struct Directory {
        let start: Int
        let count: Int
        let recordCount: Int

        init(_ bytes: ByteView) throws {
            // torch writes no archive comment, so the end record is the last 22 bytes and cannot be mistaken for data.
            let endOffset = bytes.count - HeaderSize.end
            guard endOffset >= 0, try bytes.integer(UInt32.self, at: endOffset) == 0x0605_4B50,
                try bytes.integer(UInt16.self, at: endOffset + 20) == 0
            else {
                throw bytes.malformed(
                    "the end", expected: "a zip end record without a comment",
                    found: "other bytes; the file may be truncated")
            }
            let disks = try (
                bytes.integer(UInt16.self, at: endOffset + 4), bytes.integer(UInt16.self, at: endOffset + 6)
            )
            let recordsHere = Int(try bytes.integer(UInt16.self, at: endOffset + 8))
            var recordCount = Int(try bytes.integer(UInt16.self, at: endOffset + 10))
            var count = Int(try bytes.integer(UInt32.self, at: endOffset + 12))
            var start = Int(try bytes.integer(UInt32.self, at: endOffset + 16))
            guard disks == (0, 0), recordsHere == recordCount else {
                throw bytes.unsupported("several volumes", advice: "join them into one archive")
            }
            var limit = endOffset
            let locatorOffset = endOffset - HeaderSize.locator64
            if locatorOffset >= 0, try bytes.integer(UInt32.self, at: locatorOffset) == 0x0706_4B50 {
                let end64 = try bytes.size(at: locatorOffset + 8)
                // As the end record, the 64-bit one lies where it must lie, or it is refused.
                guard end64 == locatorOffset - HeaderSize.end64,
                    try bytes.integer(UInt32.self, at: end64) == 0x0606_4B50,
                    try bytes.size(at: end64 + 4) == HeaderSize.end64 - 12
                else {
                    throw bytes.malformed(at: locatorOffset, expected: "a zip64 end record before it", found: "none")
                }
                let wide = try (
                    recordCount: bytes.size(at: end64 + 32), count: bytes.size(at: end64 + 40),
                    start: bytes.size(at: end64 + 48)
                )
                guard recordCount == 0xFFFF || recordCount == wide.recordCount,
                    count == 0xFFFF_FFFF || count == wide.count, start == 0xFFFF_FFFF || start == wide.start
                else {
                    throw bytes.malformed(
                        at: end64, expected: "the same directory in both end records", found: "different ones")
                }
                (recordCount, count, start) = wide
                limit = end64
            }
            guard recordCount <= maximumRecordCount else {
                throw bytes.limitExceeded("records", limit: maximumRecordCount, found: recordCount)
            }
            guard start <= limit, count == limit - start else {
                throw bytes.malformed(
                    "the directory", expected: "it to end at byte \(limit)", found: "\(count) bytes from byte \(start)")
            }
            (self.start, self.count, self.recordCount) = (start, count, recordCount)
        }
    }

    private static func centralEntries(_ directory: Directory, _ bytes: ByteView) throws -> [Central] {
        let view = try bytes.view(at: directory.start, count: directory.count)
        var position = 0
        var entries: [Central] = []
        for _ in 0..<directory.recordCount {
            guard try view.integer(UInt32.self, at: position) == 0x0201_4B50 else {
                throw view.malformed(at: position, expected: "a directory entry", found: "other bytes")
            }
            let flags = try view.integer(UInt16.self, at: position + 8)
            let method = try view.integer(UInt16.self, at: position + 10)
            let nameCount = Int(try view.integer(UInt16.self, at: position + 28))
            let extraCount = Int(try view.integer(UInt16.self, at: position + 30))
            let commentCount = Int(try view.integer(UInt16.self, at: position + 32))
            let name = try view.text(at: position + HeaderSize.central, count: nameCount)
            try requireStored(flags: flags, method: method, name, view)
            var wide = try ExtendedSizes(view, at: position + HeaderSize.central + nameCount, count: extraCount)
            let size = try wide.next(UInt64(view.integer(UInt32.self, at: position + 24)), view, name)
            let storedSize = try wide.next(UInt64(view.integer(UInt32.self, at: position + 20)), view, name)
            let headerOffset = try wide.next(UInt64(view.integer(UInt32.self, at: position + 42)), view, name)
            guard size == storedSize else {
                throw view.malformed(
                    "record '\(name)'", expected: "\(size) bytes, since it is stored", found: "\(storedSize)")
            }
            entries.append(
                Central(
                    name: name, nameBytes: nameCount, flags: flags,
                    checksum: try view.integer(UInt32.self, at: position + 16), size: size, headerOffset: headerOffset))
            position += HeaderSize.central + nameCount + extraCount + commentCount
        }
        guard position == directory.count else {
            throw view.malformed(at: position, expected: "the end of the directory", found: "more bytes")
        }
        return entries
    }

    private static func requireStored(flags: UInt16, method: UInt16, _ name: String, _ bytes: ByteView) throws {
        guard flags & 1 == 0 else {
            throw bytes.unsupported("encrypted record '\(name)'", advice: "save the checkpoint without a password")
        }
        guard method == 0 else {
            throw bytes.unsupported(
                "compressed record '\(name)' (method \(method))", advice: "torch.save stores records uncompressed")
        }
        guard flags & ~harmlessFlags == 0 else {
            throw bytes.unsupported("flags \(flags) of record '\(name)'", advice: "save it again with torch.save")
        }
    }

    /// Equal names, also when only the case differs: some readers would take the one, some the other.
    private static func requireDistinctNames(_ entries: [Central], _ bytes: ByteView) throws {
        var names: [String: String] = [:]
        for entry in entries {
            if let other = names.updateValue(entry.name, forKey: entry.name.lowercased()) {
                throw bytes.malformed(
                    "record '\(entry.name)'", expected: "names that differ in more than case", found: "'\(other)' too")
            }
        }
    }

    /// The record's bytes, after comparing its local header with the directory.
    private static func localData(_ entry: Central, _ bytes: ByteView) throws -> ByteView {
        let header = try bytes.view(at: entry.headerOffset, count: bytes.count - entry.headerOffset)
        guard try header.integer(UInt32.self, at: 0) == 0x0403_4B50 else {
            throw header.malformed(at: 0, expected: "the header of record '\(entry.name)'", found: "other bytes")
        }
        let flags = try header.integer(UInt16.self, at: 6)
        let method = try header.integer(UInt16.self, at: 8)
        try requireStored(flags: flags, method: method, entry.name, header)
        let nameCount = Int(try header.integer(UInt16.self, at: 26))
        let extraCount = Int(try header.integer(UInt16.self, at: 28))
        let name = try header.text(at: HeaderSize.local, count: nameCount)
        let checksum = try header.integer(UInt32.self, at: 14)
        let sizes = try (header.integer(UInt32.self, at: 22), header.integer(UInt32.self, at: 18))
        let sizesFollow = flags & 1 << 3 != 0
        var wide = try ExtendedSizes(header, at: HeaderSize.local + nameCount, count: extraCount)
        let size = try wide.next(UInt64(sizes.0), header, name)
        let storedSize = try wide.next(UInt64(sizes.1), header, name)
        // With bit 3 the local header may leave checksum and sizes at zero; what it does say must agree.
        let leavesOut = sizesFollow && checksum == 0 && size == 0 && storedSize == 0
        guard name == entry.name, flags == entry.flags,
            leavesOut || (checksum == entry.checksum && size == entry.size && storedSize == entry.size)
        else {
            throw header.malformed(
                at: 0, expected: "'\(entry.name)', \(entry.size) bytes, as the directory says",
                found: "'\(name)', \(size) bytes or another checksum or flags")
        }
        return try header.view(at: HeaderSize.local + nameCount + extraCount, count: entry.size)
    }

    /// The zip64 extra field, which holds, in a fixed order, the sizes that do not fit in 32 bits.
    private struct ExtendedSizes {
        private var position: Int
        private var end: Int

        init(_ bytes: ByteView, at start: Int, count: Int) throws {
            let extra = try bytes.view(at: start, count: count)
            (position, end) = (0, 0)
            var offset = 0
            // Alignment padding may leave fewer than four bytes at the end.
            while count - offset >= 4 {
                let kind = try extra.integer(UInt16.self, at: offset)
                let length = Int(try extra.integer(UInt16.self, at: offset + 2))
                guard length <= count - offset - 4 else {
                    throw extra.malformed(
                        at: offset, expected: "an extra field inside its header", found: "\(length) bytes")
                }
                if kind == 1 {
                    guard end == 0 else {
                        throw extra.malformed(at: offset, expected: "one zip64 field", found: "two")
                    }
                    (position, end) = (start + offset + 4, start + offset + 4 + length)
                }
                offset += 4 + length
            }
        }

        /// `narrow`, or the next 64-bit size when `narrow` is the marker for "see the zip64 field".
        mutating func next(_ narrow: UInt64, _ bytes: ByteView, _ name: String) throws -> Int {
            guard narrow == 0xFFFF_FFFF else { return Int(narrow) }
            guard end - position >= 8 else {
                throw bytes.malformed("record '\(name)'", expected: "a zip64 size", found: "none")
            }
            defer { position += 8 }
            return try bytes.size(at: position)
        }
    }
}
