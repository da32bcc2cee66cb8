// Files that must be refused, each with a typed error that says why: every row of the limits, and the mistakes that other readers made.

import Checkpoint
import TestSupport
import Testing

/// A bad file, the error it must give, and words that the message must contain.
struct HostileFile: Sendable, CustomTestStringConvertible {
    let what: String
    let bytes: [UInt8]
    let code: String
    let words: [String]

    init(_ what: String, _ code: String, _ words: String..., bytes: @autoclosure () -> [UInt8]) {
        self.what = what
        self.bytes = bytes()
        self.code = code
        self.words = words
    }

    var testDescription: String { what }
}

@Suite struct HostileFileTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    @Test(arguments: hostileSafetensors + hostilePickles + hostileArchives + hostileStreams)
    func isRefused(_ file: HostileFile) throws {
        let path = try folder.write(file.bytes, as: "hostile")
        let error = try #require(throws: CheckpointError.self) { try WeightFile.open(path) }
        #expect(error.code == file.code, "\(error)")
        #expect(error.description.hasPrefix("\(path): "))
        for word in file.words { #expect(error.description.contains(word), "\(error)") }
    }
}

private let malformed = "malformed_weights"
private let limit = "weights_limit_exceeded"
private let unsupported = "unsupported_weights"

private func field(_ type: String, _ shape: String, _ offsets: String) -> String {
    "{\"dtype\":\"\(type)\",\"shape\":\(shape),\"data_offsets\":\(offsets)}"
}

private let hostileSafetensors: [HostileFile] = [
    HostileFile("header beyond the file", malformed, bytes: safetensors("{}", headerSize: 3)),
    HostileFile("header of 2^64 - 1 bytes", malformed, "2^63", bytes: safetensors("{}", headerSize: .max)),
    HostileFile("header over the limit", limit, "100000000", bytes: safetensors("{}", headerSize: 100_000_001)),
    HostileFile("header that is no JSON", malformed, "byte 9", bytes: safetensors("{a}")),
    HostileFile("text after the header's object", malformed, bytes: safetensors("{} x")),
    HostileFile(
        "header with invalid UTF-8", malformed, "UTF-8",
        bytes: littleEndian(UInt64(6)) + [0x7B, 0x22, 0xFF, 0x22, 0x3A, 0x7D]),
    HostileFile(
        "nesting of 65", limit, "nesting",
        bytes: safetensors("{\"a\":" + String(repeating: "[", count: 65) + String(repeating: "]", count: 65) + "}")),
    HostileFile(
        "more JSON values than 65,536 tensors need", limit, "values",
        bytes: safetensors("{\"a\":[" + String(repeating: "0,", count: 2_000_000) + "0]}")),
    HostileFile(
        "the same name twice", malformed, "'a' again",
        bytes: safetensors("{\"a\":\(field("U8", "[1]", "[0,1]")),\"a\":\(field("U8", "[1]", "[1,2]"))}", data: 2)),
    HostileFile(
        "the same name twice, once escaped", malformed, "again",
        bytes: safetensors("{\"a\":\(field("U8", "[1]", "[0,1]")),\"\\u0061\":\(field("U8", "[1]", "[1,2]"))}", data: 2)
    ),
    HostileFile("a tensor that is no object", malformed, bytes: safetensors("{\"a\":1}")),
    HostileFile("no dtype", malformed, "dtype", bytes: safetensors("{\"a\":{\"shape\":[],\"data_offsets\":[0,0]}}")),
    HostileFile(
        "an unknown dtype", unsupported, "F4", bytes: safetensors("{\"a\":\(field("F4", "[2]", "[0,1]"))}", data: 1)),
    HostileFile("a negative extent", malformed, bytes: safetensors("{\"a\":\(field("U8", "[-1]", "[0,1]"))}", data: 1)),
    HostileFile(
        "a fractional extent", malformed, bytes: safetensors("{\"a\":\(field("U8", "[1.0]", "[0,1]"))}", data: 1)),
    HostileFile(
        "rank 9", limit, "rank", bytes: safetensors("{\"a\":\(field("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]"))}", data: 1)),
    HostileFile(
        "a shape larger than its bytes", malformed, "8 bytes", "4 bytes",
        bytes: safetensors("{\"a\":\(field("F32", "[2]", "[0,4]"))}", data: 4)),
    HostileFile(
        "a shape whose product wraps to its bytes", malformed,
        bytes: safetensors("{\"a\":\(field("U8", "[4294967296,4294967297]", "[0,4]"))}", data: 4)),
    HostileFile(
        "a shape whose bytes wrap to zero", malformed,
        bytes: safetensors("{\"a\":\(field("F32", "[4611686018427387904]", "[0,0]"))}")),
    HostileFile(
        "end before begin", malformed, "begin <= end",
        bytes: safetensors("{\"a\":\(field("U8", "[1]", "[1,0]"))}", data: 1)),
    HostileFile(
        "end beyond the data", malformed, bytes: safetensors("{\"a\":\(field("U8", "[9]", "[0,9]"))}", data: 8)),
    HostileFile(
        "offsets beyond Int", malformed,
        bytes: safetensors("{\"a\":\(field("U8", "[1]", "[0,99999999999999999999]"))}", data: 1)),
    HostileFile(
        "overlapping tensors", malformed, "'b'",
        bytes: safetensors("{\"a\":\(field("U8", "[2]", "[0,2]")),\"b\":\(field("U8", "[2]", "[1,3]"))}", data: 3)),
    HostileFile(
        "a hole between tensors", malformed, "'b'",
        bytes: safetensors("{\"a\":\(field("U8", "[1]", "[0,1]")),\"b\":\(field("U8", "[1]", "[2,3]"))}", data: 3)),
    HostileFile(
        "bytes after the last tensor", malformed, "the end",
        bytes: safetensors("{\"a\":\(field("U8", "[1]", "[0,1]"))}", data: 2)),
    HostileFile("truncated data", malformed, bytes: safetensors("{\"a\":\(field("F32", "[2]", "[0,8]"))}", data: 7)),
    HostileFile(
        "a name of 513 bytes", limit, "512",
        bytes: safetensors("{\"\(String(repeating: "n", count: 513))\":\(field("U8", "[1]", "[0,1]"))}", data: 1)),
    HostileFile(
        "a path to data elsewhere", malformed, "external",
        bytes: safetensors(
            "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"external\":\"/etc/passwd\"}}", data: 1)),
    HostileFile(
        "metadata that is no string", malformed, "__metadata__", bytes: safetensors("{\"__metadata__\":{\"a\":1}}")),
    HostileFile("metadata that is no object", malformed, "__metadata__", bytes: safetensors("{\"__metadata__\":[]}")),
    HostileFile(
        "65,538 tensors", limit, "tensors",
        bytes: safetensors(
            "{" + (0..<65_538).map { "\"\($0)\":\(field("U8", "[0]", "[0,0]"))" }.joined(separator: ",") + "}")),
]

private let hostilePickles: [HostileFile] =
    [
        HostileFile(
            "os.system", "forbidden_pickle_global", "posix.system", "nothing was executed",
            bytes: Pickle().global("posix", "system").text("true").adding([0x85]).opcode("R").opcode(".").bytes),
        HostileFile(
            "a forbidden name that no call uses", "forbidden_pickle_global", "builtins.eval",
            bytes: Pickle().global("builtins", "eval").opcode(".").bytes),
        HostileFile(
            "STACK_GLOBAL", "forbidden_pickle_global", "numpy.core.multiarray.scalar",
            bytes: Pickle().text("numpy.core.multiarray").text("scalar").adding([0x93]).opcode(".").bytes),
        HostileFile(
            "INST", malformed, "'i'",
            bytes: Pickle().opcode("(").adding(Array("iposix\nsystem\n".utf8)).opcode(".").bytes),
        HostileFile("protocol 0", malformed, "opcode", bytes: Array("I1\n.".utf8)),
        HostileFile("protocol 9", unsupported, "protocol 9", bytes: [0x80, 9, 0x4E, 0x2E]),
        HostileFile("an empty stack", malformed, bytes: Pickle().opcode(".").bytes),
        HostileFile(
            "TUPLE3 of two", malformed, bytes: Pickle().opcode("N").opcode("N").adding([0x87]).opcode(".").bytes),
        HostileFile("TUPLE without MARK", malformed, bytes: Pickle().opcode("t").opcode(".").bytes),
        HostileFile(
            "POP through a MARK", malformed, bytes: Pickle().opcode("N").opcode("(").opcode("0").opcode(".").bytes),
        HostileFile(
            "values left over", malformed, "one value", bytes: Pickle().opcode("N").opcode("N").opcode(".").bytes),
        HostileFile(
            "a memo entry that nobody put", malformed, "memo", bytes: Pickle().opcode("h").adding([3]).opcode(".").bytes
        ),
        HostileFile(
            "a key without value", malformed,
            bytes: Pickle().opcode("}").opcode("(").text("a").opcode("u").opcode(".").bytes),
        HostileFile(
            "APPEND to a number", malformed, bytes: Pickle().integer(1).opcode("N").opcode("a").opcode(".").bytes),
        HostileFile(
            "a string beyond the end", malformed, bytes: Pickle().adding([0x58, 0xFF, 0xFF, 0xFF, 0xFF]).bytes),
        HostileFile(
            "a string of 2^64 - 1 bytes", malformed, bytes: Pickle().adding([0x8D] + littleEndian(UInt64.max)).bytes),
        HostileFile("no STOP", malformed, bytes: Pickle().opcode("N").bytes),
        HostileFile(
            "a stack of 10,001", limit, "stack",
            bytes: Pickle().adding([UInt8](repeating: 0x4E, count: 10_001)).opcode(".").bytes),
        HostileFile(
            "10,001 marks", limit, "stack",
            bytes: Pickle().adding([UInt8](repeating: 0x28, count: 10_001)).opcode(".").bytes),
        HostileFile(
            "more than a million opcodes", limit, "opcodes",
            bytes: Pickle().adding([UInt8]((0..<500_001).flatMap { _ in [0x4E, 0x30] as [UInt8] })).opcode(".").bytes),
        HostileFile(
            "100,001 memo entries", limit, "memo",
            bytes: Pickle().opcode("N").adding([UInt8](repeating: 0x94, count: 100_001)).opcode(".").bytes),
        HostileFile(
            "a million nested tuples", unsupported, "dictionary",
            bytes: Pickle().opcode("N").adding([UInt8](repeating: 0x85, count: 900_000)).opcode(".").bytes),
        HostileFile(
            "a list inside itself", unsupported, "dictionary",
            bytes: Pickle().opcode("]").opcode("q").adding([0]).opcode("h").adding([0]).opcode("a").opcode(".").bytes),
        HostileFile(
            "BUILD on a number", malformed, bytes: Pickle().integer(1).opcode("}").opcode("b").opcode(".").bytes),
        HostileFile(
            "calling a storage type", malformed,
            bytes: Pickle().global("torch", "FloatStorage").opcode(")").opcode("R").opcode(".").bytes),
        HostileFile(
            "a model instead of its weights", unsupported, "state_dict", bytes: Pickle().opcode("N").opcode(".").bytes),
        HostileFile("no tensors", malformed, "tensors", bytes: Pickle.dictionary { $0.integer(1) }),
        HostileFile(
            "an offset beyond the storage", malformed, "storage '0'",
            bytes: Pickle.dictionary { $0.tensor(shape: [6], strides: [1], offset: 1) }),
        HostileFile(
            "a negative offset", malformed, bytes: Pickle.dictionary { $0.tensor(shape: [6], strides: [1], offset: -1) }
        ),
        HostileFile(
            "strides beyond the storage", malformed,
            bytes: Pickle.dictionary { $0.tensor(shape: [2, 3], strides: [4, 1]) }),
        HostileFile(
            "strides that wrap", malformed,
            bytes: Pickle.dictionary { $0.tensor(shape: [3, 2], strides: [Int.max / 2 + 1, 1]) }),
        HostileFile(
            "a negative stride", malformed, bytes: Pickle.dictionary { $0.tensor(shape: [6], strides: [-1], offset: 5) }
        ),
        HostileFile(
            "a negative extent in a pickle", malformed,
            bytes: Pickle.dictionary { $0.tensor(shape: [-6], strides: [1]) }),
        HostileFile(
            "a broadcast of one element", malformed,
            bytes: Pickle.dictionary { $0.tensor(shape: [1_000_000_000], strides: [0]) }),
        HostileFile(
            "fewer strides than axes", malformed, bytes: Pickle.dictionary { $0.tensor(shape: [2, 3], strides: [1]) }),
        HostileFile(
            "rank 9 in a pickle", limit, "rank",
            bytes: Pickle.dictionary {
                $0.tensor(shape: [Int](repeating: 1, count: 9), strides: [Int](repeating: 1, count: 9))
            }),
        HostileFile(
            "a storage that is not there", malformed, "data/7",
            bytes: Pickle.dictionary { $0.tensor(shape: [6], strides: [1], key: "7") }),
        HostileFile(
            "a storage larger than its record", malformed, "24 bytes",
            bytes: Pickle.dictionary { $0.tensor(shape: [6], strides: [1], elements: 7) }),
        HostileFile(
            "a storage whose size wraps", malformed,
            bytes: Pickle.dictionary { $0.tensor(shape: [6], strides: [1], elements: Int.max / 2) }),
        HostileFile(
            "a name of 513 bytes in a pickle", limit, "512",
            bytes: Pickle.dictionary(String(repeating: "n", count: 513)) { $0.tensor(shape: [6], strides: [1]) }),
        HostileFile(
            "one name for two tensors", malformed, "each name once",
            bytes: Pickle().opcode("}").text("a").tensor(shape: [6], strides: [1]).opcode("s").text("a")
                .tensor(shape: [6], strides: [1]).opcode("s").opcode(".").bytes),
    ].map { HostileFile("pickle: \($0.what)", $0.code, words: $0.words, bytes: torchArchive($0.bytes)) }

private let goodPickle = Pickle.dictionary { $0.tensor(shape: [6], strides: [1]) }
private let goodData = [UInt8](repeating: 0, count: 24)

private func archive(_ edit: (inout [ZipRecord]) -> Void) -> [UInt8] {
    var records = [
        ZipRecord(name: "archive/data.pkl", data: goodPickle), ZipRecord(name: "archive/data/0", data: goodData),
    ]
    edit(&records)
    return zip(records)
}

private let hostileArchives: [HostileFile] = [
    HostileFile("a compressed record", unsupported, "compressed", bytes: archive { $0[1].method = 8 }),
    HostileFile("an encrypted record", unsupported, "encrypted", bytes: archive { $0[1].flags = 1 }),
    HostileFile("a patched record", unsupported, "flags", bytes: archive { $0[1].flags = 1 << 5 }),
    HostileFile(
        "the same name twice in an archive", malformed, "case",
        bytes: archive { $0.append(ZipRecord(name: "archive/data.pkl", data: goodPickle)) }),
    HostileFile(
        "data.pkl and DATA.PKL", malformed, "DATA.PKL",
        bytes: archive { $0.append(ZipRecord(name: "archive/DATA.PKL", data: goodPickle)) }),
    HostileFile(
        "two folders with a data.pkl", malformed, "2",
        bytes: archive { $0.append(ZipRecord(name: "other/data.pkl", data: goodPickle)) }),
    HostileFile("no data.pkl", malformed, "data.pkl", bytes: archive { $0.removeFirst() }),
    HostileFile(
        "another name in the local header", malformed, "directory",
        bytes: archive { $0[1].localName = "archive/data/1" }),
    HostileFile("another size in the local header", malformed, "directory", bytes: archive { $0[1].localSize = 20 }),
    HostileFile(
        "a size that reaches into the directory", malformed,
        bytes: archive {
            $0[1].localSize = 48; $0[1].centralSize = 48
        }),
    HostileFile(
        "a size beyond the file", malformed,
        bytes: archive {
            $0[1].localSize = 1 << 30; $0[1].centralSize = 1 << 30
        }),
    HostileFile("a zip64 size that is not there", malformed, "zip64", bytes: archive { $0[1].centralSize = .max }),
    HostileFile("two records at one place", malformed, "overlap", bytes: archive { $0[1].offset = 0 }),
    HostileFile("a header beyond the file", malformed, bytes: archive { $0[1].offset = 1 << 30 }),
    HostileFile("a damaged pickle", "weights_checksum", "data.pkl", bytes: archive { $0[0].checksum = 1 }),
    HostileFile("a truncated archive", malformed, "truncated", bytes: archive { _ in }.dropLast(7)),
    HostileFile("bytes after the archive", malformed, "end record", bytes: archive { _ in } + [0]),
    HostileFile(
        "more records than the directory has", malformed,
        bytes: zip([ZipRecord(name: "archive/data.pkl", data: goodPickle)], recordCount: 2)),
    HostileFile(
        "fewer records than the directory has", malformed, "the end of the directory",
        bytes: zip(
            [ZipRecord(name: "archive/data.pkl", data: goodPickle), ZipRecord(name: "archive/data/0", data: goodData)],
            recordCount: 1)),
    HostileFile(
        "big-endian numbers", unsupported, "big",
        bytes: archive { $0.append(ZipRecord(name: "archive/byteorder", data: Array("big".utf8))) }),
    HostileFile("bytes after the pickle", malformed, bytes: archive { $0[0].data.append(0) }),
    HostileFile("only the signature", malformed, bytes: [0x50, 0x4B, 3, 4]),
]

private let hostileStreams: [HostileFile] = [
    HostileFile("another protocol version", malformed, "1001", bytes: torchStream(goodPickle, version: 1000)),
    HostileFile(
        "a big-endian stream", unsupported, "big-endian", bytes: torchStream(goodPickle, isLittleEndian: false)),
    HostileFile("a key that no tensor has", malformed, bytes: torchStream(goodPickle, keys: ["0", "1"])),
    HostileFile("a key twice", malformed, bytes: torchStream(goodPickle, keys: ["0", "0"])),
    HostileFile("a storage without key", malformed, "'0'", bytes: torchStream(goodPickle, keys: [], storages: [])),
    HostileFile(
        "another element count", malformed, "6 elements",
        bytes: torchStream(goodPickle, storages: littleEndian(UInt64(5)) + goodData)),
    HostileFile(
        "an element count of 2^64 - 1", malformed,
        bytes: torchStream(goodPickle, storages: littleEndian(UInt64.max) + goodData)),
    HostileFile("a truncated storage", malformed, bytes: torchStream(goodPickle).dropLast(1)),
    HostileFile("bytes after the storages", malformed, "more bytes", bytes: torchStream(goodPickle) + [0]),
    HostileFile("only the magic number", malformed, bytes: Array(torchStream(goodPickle).prefix(15))),
    HostileFile(
        "a storage of two types", malformed, "one type",
        bytes: torchStream(
            Pickle().opcode("}").text("a").tensor(shape: [6], strides: [1]).opcode("s").text("b")
                .tensor(shape: [6], strides: [1], type: "IntStorage").opcode("s").opcode(".").bytes)),
    HostileFile(
        "os.system in a stream", "forbidden_pickle_global", "os.system",
        bytes: torchStream(Pickle().global("os", "system").opcode(".").bytes)),
]

extension HostileFile {
    init(_ what: String, _ code: String, words: [String], bytes: [UInt8]) {
        (self.what, self.code, self.words, self.bytes) = (what, code, words, bytes)
    }
}
