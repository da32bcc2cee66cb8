// CRC-32 as zip uses it (reflected polynomial 0xEDB88320), eight bytes a step. Method: Kounavis and Berry, "Novel table
// lookup-based algorithms for high-performance CRC generation", 2008 ("slicing-by-8").

enum CRC32 {
    /// Entry [slice * 256 + byte]: what `byte` contributes when `slice` more bytes follow it in the step.
    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for byte in 0..<256 {
            var value = UInt32(byte)
            for _ in 0..<8 { value = value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1 }
            tables[byte] = value
        }
        for index in 256..<8 * 256 {
            let former = tables[index - 256]
            tables[index] = former >> 8 ^ tables[Int(former & 0xFF)]
        }
        return tables
    }()

    /// The checksum of `bytes`.
    static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        tables.withUnsafeBufferPointer { tables in
            var value = UInt32.max
            let whole = bytes.count / 8 * 8
            for offset in stride(from: 0, to: whole, by: 8) {
                let word =
                    UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) ^ UInt64(value)
                var next: UInt32 = 0
                for slice in 0..<8 { next ^= tables[(7 - slice) * 256 + Int(word >> (8 * UInt64(slice)) & 0xFF)] }
                value = next
            }
            for byte in bytes[whole...] { value = value >> 8 ^ tables[Int((value ^ UInt32(byte)) & 0xFF)] }
            return ~value
        }
    }
}
