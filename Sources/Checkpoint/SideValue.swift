// What a PyTorch checkpoint holds beside its tensors, as data that can do nothing.

/// A value of the training script: options, epoch, schedule.
public enum SideValue: Sendable, Equatable, CustomStringConvertible {
    case none
    case boolean(Bool)
    case integer(Int)
    case number(Double)
    case string(String)
    /// A list, tuple or set.
    case list([SideValue])
    /// A dictionary's entries with text keys, or the attributes of an `argparse.Namespace`.
    case dictionary([String: SideValue])
    /// A tensor, a very large integer, or what lies deeper or farther than anyone looks.
    case omitted

    /// The entry of a dictionary; nil when this is none or has no such key.
    public subscript(key: String) -> SideValue? {
        guard case .dictionary(let entries) = self else { return nil }
        return entries[key]
    }

    /// One short value, or what kind of value it is.
    public var description: String {
        switch self {
        case .none: "None"
        case .boolean(let value): value ? "True" : "False"
        case .integer(let value): String(value)
        case .number(let value): String(value)
        case .string(let value): "'\(value.prefix(40))'"
        case .list(let values): "a list of \(values.count)"
        case .dictionary(let entries): "a dictionary of \(entries.count)"
        case .omitted: "another object"
        }
    }
}
