// Writes safetensors files: `w.bin`, and the dumps that other implementations are compared with.

import Tensors

/// Writes tensors as a safetensors file, one at a time.
public enum SafetensorsWriter {
    /// Writes all tensors of `source`, in its order.
    ///
    /// Only one tensor at a time is in memory. A reader of `path` sees the old file or the whole new one.
    ///
    /// - Parameters:
    ///   - metadata: the strings of `__metadata__`.
    ///   - alignment: every tensor begins at a multiple of this many bytes, a power of two from 4 on. The format allows
    ///     no holes, so a larger alignment than 4 puts small byte tensors named `__padding__.N` between; readers of this
    ///     target skip them.
    ///   - elementType: what a tensor is rounded to, by name: float32, bfloat16 or int8, which holds -127...127.
    /// - Throws: ``FileError``, ``CheckpointError`` from the source or when a name cannot be written.
    public static func write(
        _ source: some TensorSource, to path: String, metadata: [String: String] = [:], alignment: Int = 4,
        elementType: (String) -> ElementType = { _ in .float32 }
    ) throws {
        precondition(alignment >= 4 && alignment & (alignment - 1) == 0, "alignment \(alignment)")
        var fields: [String] = []
        if !metadata.isEmpty {
            let strings = metadata.sorted { $0.key < $1.key }.map {
                "\(JSONValue.quoted($0.key)):\(JSONValue.quoted($0.value))"
            }
            fields.append("\"\(Safetensors.metadataKey)\":{\(strings.joined(separator: ","))}")
        }
        var end = 0
        var paddings: [Int] = []
        for name in source.names {
            guard let shape = source.shape(of: name) else {
                throw CheckpointError.missingTensor(path: source.origin, name: name, expected: nil)
            }
            let padding = -end & (alignment - 1)
            if padding > 0 {
                fields.append(field("\(Safetensors.paddingPrefix)\(paddings.count)", "U8", [padding], end, padding))
            }
            paddings.append(padding)
            end += padding
            let type = elementType(name)
            let byteCount = shape.count * type.byteCount
            fields.append(field(name, type.rawValue, shape.dimensions, end, byteCount))
            end += byteCount
        }
        var header = Array("{\(fields.joined(separator: ","))}".utf8)
        header.append(
            contentsOf: repeatElement(UInt8(ascii: " "), count: -(8 + header.count) & (max(alignment, 8) - 1)))

        let file = try AtomicFile(path: path)
        try withUnsafeBytes(of: UInt64(header.count).littleEndian) { try file.write($0) }
        try header.withUnsafeBytes { try file.write($0) }
        let zeros = [UInt8](repeating: 0, count: alignment)
        for (name, padding) in zip(source.names, paddings) {
            try zeros.withUnsafeBytes { try file.write(UnsafeRawBufferPointer(rebasing: $0[..<padding])) }
            try source.tensor(name).withElements { elements in
                // Every platform that Swift runs on keeps numbers in the file's byte order.
                switch elementType(name) {
                case .bfloat16: try elements.map(bfloat16).withUnsafeBytes { try file.write($0) }
                case .int8: try elements.map(wholeNumber).withUnsafeBytes { try file.write($0) }
                default: try file.write(UnsafeRawBufferPointer(elements))
                }
            }
        }
        try file.commit()
    }

    /// The upper half of a number's bits, rounded to the nearest, to the even one of two.
    private static func bfloat16(_ value: Float) -> UInt16 {
        let bits = value.bitPattern
        // A NaN keeps one of its lower bits.
        guard !value.isNaN else { return UInt16(bits >> 16) | 0x40 }
        return UInt16((bits + 0x7fff + (bits >> 16 & 1)) >> 16)
    }

    /// The nearest whole number, of two the even one; NaN becomes 0.
    private static func wholeNumber(_ value: Float) -> Int8 {
        value.isNaN ? 0 : Int8(min(max(value, -127), 127).rounded(.toNearestOrEven))
    }

    private static func field(_ name: String, _ type: String, _ shape: [Int], _ start: Int, _ byteCount: Int) -> String
    {
        let dimensions = shape.map(String.init).joined(separator: ",")
        return "\(JSONValue.quoted(name)):{\"dtype\":\"\(type)\",\"shape\":[\(dimensions)],"
            + "\"data_offsets\":[\(start),\(start + byteCount)]}"
    }
}
