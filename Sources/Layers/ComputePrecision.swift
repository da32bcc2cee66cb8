import COneDNN

/// What the factors of products and convolutions are rounded to. Sums, biases, norms, softmax, losses and the parameters themselves
/// are float32 in all.
public enum ComputePrecision: Sendable, Hashable, CaseIterable {
    case float32
    /// bfloat16: 8 bits of precision, float32's range. About twice as fast on a processor that multiplies it; on others the
    /// rounded factors are multiplied as float32, which gives the same but for the order of sums and gains nothing.
    case bfloat16
    /// 8-bit whole numbers: weights in steps of their output channel, activations in steps that a calibration has found. For
    /// inference alone; some layers compute in bfloat16. A processor without instructions for it multiplies the rounded weights
    /// with activations in float32.
    case int8

    /// What this processor multiplies in.
    package var native: ComputePrecision {
        switch self {
        case .float32: .float32
        case .bfloat16: Self.processorMultipliesBFloat16 ? .bfloat16 : .float32
        case .int8: Self.processorMultipliesInt8 ? .int8 : .float32
        }
    }

    /// What layers compute in that 8 bits would harm.
    package var withoutInt8: ComputePrecision { self == .int8 ? .bfloat16 : self }

    private static let processorMultipliesBFloat16 = onednn_multiplies_bfloat16() == 1
    private static let processorMultipliesInt8 = onednn_multiplies_int8() == 1
}
