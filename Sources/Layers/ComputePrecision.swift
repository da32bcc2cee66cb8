import COneDNN

/// What the factors of products and convolutions are rounded to. Sums, biases, norms, softmax, sampling, losses and the
/// parameters themselves are float32 in both.
public enum ComputePrecision: Sendable, Hashable, CaseIterable {
    case float32
    /// bfloat16: 8 bits of precision, float32's range. About twice as fast on a processor that multiplies it; on others the
    /// rounded factors are multiplied as float32, which gives the same but for the order of sums and gains nothing.
    case bfloat16

    /// What this processor multiplies in.
    package var native: ComputePrecision { Self.processorMultipliesBFloat16 ? self : .float32 }

    private static let processorMultipliesBFloat16 = onednn_multiplies_bfloat16() == 1

    /// Bytes of a factor's element in memory.
    package var elementSize: Int { self == .bfloat16 ? MemoryLayout<UInt16>.stride : MemoryLayout<Float>.stride }

    var bridged: onednn_type { self == .bfloat16 ? onednn_bfloat16 : onednn_float32 }

    /// Of operations whose factors are in this precision in memory, and whose results are in another.
    func types(result: ComputePrecision = .float32) -> onednn_types {
        onednn_types(factors: bridged, result: result.bridged)
    }
}
