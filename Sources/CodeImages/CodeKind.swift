/// The classes of machine-readable codes, in the order of the shipped detector's logits.
public enum CodeKind: String, Sendable, Hashable, CaseIterable {
    case qrCode = "qr_code"
    case dataMatrix = "data_matrix"
    case aztec
    case pdf417
    /// EAN/UPC, Code 128, Code 39, ITF and their like.
    case linear
}
