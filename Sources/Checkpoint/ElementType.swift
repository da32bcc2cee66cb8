// The number formats that checkpoints store, and their conversion to the float32 of `Tensor`.

/// How a file stores the elements of a tensor. The raw values are the names that safetensors uses.
public enum ElementType: String, Sendable, CaseIterable {
    case float32 = "F32"
    case float16 = "F16"
    case bfloat16 = "BF16"
    case float64 = "F64"
    case int64 = "I64"
    case int32 = "I32"
    case int16 = "I16"
    case int8 = "I8"
    case uint64 = "U64"
    case uint32 = "U32"
    case uint16 = "U16"
    case uint8 = "U8"
    case boolean = "BOOL"

    /// Bytes of one element.
    public var byteCount: Int {
        switch self {
        case .float64, .int64, .uint64: 8
        case .float32, .int32, .uint32: 4
        case .float16, .bfloat16, .int16, .uint16: 2
        case .int8, .uint8, .boolean: 1
        }
    }
}

extension ElementType {
    /// Converts `target.count` elements, which start at `source` and lie `stride` elements apart.
    ///
    /// - Precondition: all of them lie inside `source`, which may have any alignment.
    func convert(_ source: UnsafeRawBufferPointer, stride: Int, into target: UnsafeMutableBufferPointer<Float>) {
        precondition(
            target.isEmpty || ((target.count - 1) * stride + 1) * byteCount <= source.count,
            "elements outside the storage")
        switch self {
        case .float32: read(source, stride, target, as: UInt32.self) { Float(bitPattern: $0) }
        case .float16: read(source, stride, target, as: UInt16.self, floatFromHalf)
        case .bfloat16: read(source, stride, target, as: UInt16.self) { Float(bitPattern: UInt32($0) << 16) }
        case .float64: read(source, stride, target, as: UInt64.self) { Float(Double(bitPattern: $0)) }
        case .int64: read(source, stride, target, as: Int64.self) { Float($0) }
        case .int32: read(source, stride, target, as: Int32.self) { Float($0) }
        case .int16: read(source, stride, target, as: Int16.self) { Float($0) }
        case .int8: read(source, stride, target, as: Int8.self) { Float($0) }
        case .uint64: read(source, stride, target, as: UInt64.self) { Float($0) }
        case .uint32: read(source, stride, target, as: UInt32.self) { Float($0) }
        case .uint16: read(source, stride, target, as: UInt16.self) { Float($0) }
        case .uint8: read(source, stride, target, as: UInt8.self) { Float($0) }
        case .boolean: read(source, stride, target, as: UInt8.self) { $0 == 0 ? 0 : 1 }
        }
    }
}

@inline(__always)
private func read<Stored: FixedWidthInteger & BitwiseCopyable>(
    _ source: UnsafeRawBufferPointer, _ stride: Int, _ target: UnsafeMutableBufferPointer<Float>, as type: Stored.Type,
    _ convert: (Stored) -> Float
) {
    let step = stride * MemoryLayout<Stored>.size
    for index in target.indices {
        target[index] = convert(Stored(littleEndian: source.loadUnaligned(fromByteOffset: index * step, as: type)))
    }
}

/// IEEE 754 binary16; `Float16` does not exist on every platform.
private func floatFromHalf(_ bits: UInt16) -> Float {
    let sign = UInt32(bits & 0x8000) << 16
    let exponent = UInt32(bits >> 10) & 0x1F
    let fraction = UInt32(bits & 0x3FF)
    switch exponent {
    case 0:
        // Subnormal: fraction * 2^-24, exact in float32.
        let magnitude = Float(fraction) * 0x1p-24
        return Float(bitPattern: magnitude.bitPattern | sign)
    case 0x1F: return Float(bitPattern: sign | 0x7F80_0000 | fraction << 13)
    default: return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
    }
}
