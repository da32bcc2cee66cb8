// Builds good and bad files byte by byte, independently of the code under test.

/// A safetensors file of a header and data.
func safetensors(_ header: String, data: Int = 0, headerSize: UInt64? = nil) -> [UInt8] {
    littleEndian(headerSize ?? UInt64(header.utf8.count)) + Array(header.utf8) + [UInt8](repeating: 0, count: data)
}

func littleEndian<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
    (0..<Value.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
}

/// Opcodes of a pickle.
struct Pickle {
    var bytes: [UInt8] = [0x80, 2]

    func adding(_ more: [UInt8]) -> Pickle { Pickle(bytes: bytes + more) }
    func opcode(_ character: Unicode.Scalar) -> Pickle { adding([UInt8(ascii: character)]) }
    func text(_ text: String) -> Pickle {
        adding([UInt8(ascii: "X")] + littleEndian(UInt32(text.utf8.count)) + Array(text.utf8))
    }
    func integer(_ value: Int) -> Pickle { adding([0x8A, 8] + littleEndian(Int64(value))) }
    func tuple(_ values: [Int]) -> Pickle { values.reduce(opcode("(")) { $0.integer($1) }.opcode("t") }
    func global(_ module: String, _ name: String) -> Pickle { adding(Array("c\(module)\n\(name)\n".utf8)) }

    /// A tensor of `elements` floats in storage "0".
    func tensor(
        shape: [Int], strides: [Int], offset: Int = 0, elements: Int = 6, key: String = "0",
        type: String = "FloatStorage"
    ) -> Pickle {
        global("torch._utils", "_rebuild_tensor_v2").opcode("(")
            .opcode("(").text("storage").global("torch", type).text(key).text("cpu").integer(elements).opcode("t")
            .opcode("Q")
            .integer(offset).tuple(shape).tuple(strides).adding([0x89]).opcode("}").opcode("t").opcode("R")
    }

    /// A dictionary whose only entry, `name`, is what `value` adds.
    static func dictionary(_ name: String = "weight", _ value: (Pickle) -> Pickle) -> [UInt8] {
        value(Pickle().opcode("}").text(name)).opcode("s").opcode(".").bytes
    }
}

/// A record of a zip archive, with what a hostile writer could get wrong.
struct ZipRecord {
    var name: String
    var data: [UInt8]
    var flags: UInt16 = 0
    var method: UInt16 = 0
    var checksum: UInt32?
    var localName: String?
    var localSize: UInt32?
    var centralSize: UInt32?
    var offset: UInt32?
}

/// A stored archive.
func zip(_ records: [ZipRecord], recordCount: UInt16? = nil) -> [UInt8] {
    var bytes: [UInt8] = []
    var central: [UInt8] = []
    for record in records {
        let start = UInt32(bytes.count)
        let checksum = record.checksum ?? referenceChecksum(record.data)
        let size = UInt32(record.data.count)
        let localName = Array((record.localName ?? record.name).utf8)
        bytes += littleEndian(UInt32(0x0403_4B50)) + littleEndian(UInt16(20)) + littleEndian(record.flags)
        bytes += littleEndian(record.method) + littleEndian(UInt32(0)) + littleEndian(checksum)
        bytes += littleEndian(record.localSize ?? size) + littleEndian(record.localSize ?? size)
        bytes += littleEndian(UInt16(localName.count)) + littleEndian(UInt16(0)) + localName + record.data
        central += littleEndian(UInt32(0x0201_4B50)) + littleEndian(UInt16(20)) + littleEndian(UInt16(20))
        central += littleEndian(record.flags) + littleEndian(record.method) + littleEndian(UInt32(0))
        central +=
            littleEndian(checksum) + littleEndian(record.centralSize ?? size) + littleEndian(record.centralSize ?? size)
        central += littleEndian(UInt16(record.name.utf8.count)) + [UInt8](repeating: 0, count: 12)
        central += littleEndian(record.offset ?? start) + Array(record.name.utf8)
    }
    let directory = UInt32(bytes.count)
    let count = recordCount ?? UInt16(records.count)
    return bytes + central + littleEndian(UInt32(0x0605_4B50)) + littleEndian(UInt32(0)) + littleEndian(count)
        + littleEndian(count) + littleEndian(UInt32(central.count)) + littleEndian(directory) + littleEndian(UInt16(0))
}

/// An archive as torch.save lays it out: a pickle and storage "0" of six floats.
func torchArchive(_ pickle: [UInt8], more: [ZipRecord] = []) -> [UInt8] {
    zip(
        [
            ZipRecord(name: "archive/data.pkl", data: pickle),
            ZipRecord(name: "archive/data/0", data: [UInt8](repeating: 0, count: 24)),
        ] + more)
}

/// A legacy stream: magic, version, system, the data, the keys, the storages.
func torchStream(
    _ pickle: [UInt8], version: Int = 1001, isLittleEndian: Bool = true, keys: [String] = ["0"],
    storages: [UInt8] = littleEndian(UInt64(6)) + [UInt8](repeating: 0, count: 24)
) -> [UInt8] {
    let magic: [UInt8] = [0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E]
    let system = Pickle().opcode("}").text("little_endian").adding([isLittleEndian ? 0x88 : 0x89]).opcode("s").opcode(
        ".")
    let keyList = keys.reduce(Pickle().opcode("]").opcode("(")) { $0.text($1) }.opcode("e").opcode(".")
    return magic + Pickle().integer(version).opcode(".").bytes + system.bytes + pickle + keyList.bytes + storages
}

/// CRC-32 bit by bit, as the definition says.
func referenceChecksum(_ bytes: [UInt8]) -> UInt32 {
    var value = UInt32.max
    for byte in bytes {
        value ^= UInt32(byte)
        for _ in 0..<8 { value = value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1 }
    }
    return ~value
}
