// The data that a pickle describes. Containers live in one array and refer to each other by index: whatever the nesting or cycles, nothing
// recurses and nothing leaks.

import Tensors

/// A value on the pickle machine's stack.
enum PickleValue: Sendable {
    case none
    case boolean(Bool)
    case integer(Int)
    /// An integer that does not fit in `Int`.
    case largeInteger
    case number(Double)
    case string(String)
    case bytes
    case global(PickleGlobal)
    /// The index of a node.
    case node(Int)
}

/// A container, or what a permitted call makes.
struct PickleNode: Sendable {
    enum Kind: Sendable {
        case tuple
        case list
        case set
        /// Keys and values in turn.
        case dictionary
        /// `argparse.Namespace`: attribute names and values in turn.
        case namespace
        case storage(TorchStorage)
        case tensor(TorchTensor)
    }

    var kind: Kind
    var items: [PickleValue] = []
}

/// A reference to raw elements elsewhere in the file.
struct TorchStorage: Sendable, Equatable {
    let key: String
    let elementType: ElementType
    let elementCount: Int
}

/// A view of a storage. Every element lies inside it.
struct TorchTensor: Sendable {
    let storage: TorchStorage
    /// In elements.
    let offset: Int
    let shape: Shape
    let strides: [Int]

    /// Nil when an element would lie outside the storage, or the arguments make no sense.
    init?(_ storage: TorchStorage, offset: Int, dimensions: [Int], strides: [Int]) {
        guard dimensions.count == strides.count, let count = Shape.checkedCount(of: dimensions), offset >= 0,
            strides.allSatisfy({ $0 >= 0 }),
            // Broadcast views (stride 0) would let a small file claim any amount of memory.
            count <= storage.elementCount
        else { return nil }
        var last = offset
        for (extent, stride) in zip(dimensions, strides) where count > 0 {
            let (distance, overflow) = (extent - 1).multipliedReportingOverflow(by: stride)
            let (sum, sumOverflow) = last.addingReportingOverflow(distance)
            guard !overflow, !sumOverflow else { return nil }
            last = sum
        }
        guard count == 0 || last < storage.elementCount else { return nil }
        let shape = Shape(dimensions)
        (self.storage, self.offset, self.shape) = (storage, offset, shape)
        self.strides = shape.normalizedStrides(strides)
    }
}

/// The allow-list: the names that a checkpoint may refer to, all of them data to this reader.
enum PickleGlobal: Sendable, Equatable {
    case orderedDictionary
    case counter
    case namespace
    case size
    case device
    case rebuildTensor
    case rebuildParameter
    case storage(ElementType)

    init?(module: String, name: String) {
        switch (module, name) {
        case ("collections", "OrderedDict"): self = .orderedDictionary
        case ("collections", "Counter"): self = .counter
        case ("argparse", "Namespace"): self = .namespace
        case ("torch", "Size"): self = .size
        case ("torch", "device"): self = .device
        case ("torch._utils", "_rebuild_tensor_v2"): self = .rebuildTensor
        case ("torch._utils", "_rebuild_parameter"): self = .rebuildParameter
        case ("torch", "FloatStorage"): self = .storage(.float32)
        case ("torch", "HalfStorage"): self = .storage(.float16)
        case ("torch", "BFloat16Storage"): self = .storage(.bfloat16)
        case ("torch", "DoubleStorage"): self = .storage(.float64)
        case ("torch", "LongStorage"): self = .storage(.int64)
        case ("torch", "IntStorage"): self = .storage(.int32)
        case ("torch", "ShortStorage"): self = .storage(.int16)
        case ("torch", "CharStorage"): self = .storage(.int8)
        case ("torch", "ByteStorage"): self = .storage(.uint8)
        case ("torch", "BoolStorage"): self = .storage(.boolean)
        default: return nil
        }
    }
}

/// What one pickle described.
struct PickleDocument {
    let root: PickleValue
    let nodes: [PickleNode]
    /// Bytes from the pickle's first to the one after its STOP.
    let byteCount: Int

    func node(_ value: PickleValue) -> PickleNode? {
        guard case .node(let index) = value else { return nil }
        return nodes[index]
    }

    /// The entries of a dictionary or namespace whose keys are text, in order; nil for other values.
    func entries(of value: PickleValue) -> [(key: String, value: PickleValue)]? {
        guard let node = node(value) else { return nil }
        switch node.kind {
        case .dictionary, .namespace: break
        default: return nil
        }
        return stride(from: 0, to: node.items.count - 1, by: 2).compactMap { index in
            guard case .string(let key) = node.items[index] else { return nil }
            return (key, node.items[index + 1])
        }
    }

    /// A copy of `value` without tensors. Shared parts are copied each time they are met, so `budget` bounds the work.
    func sideValue(_ value: PickleValue, depth: Int = 0, budget: inout Int) -> SideValue {
        budget -= 1
        guard budget > 0, depth < 16 else { return .omitted }
        switch value {
        case .none: return .none
        case .boolean(let value): return .boolean(value)
        case .integer(let value): return .integer(value)
        case .number(let value): return .number(value)
        case .string(let text): return .string(text)
        case .largeInteger, .bytes, .global: return .omitted
        case .node(let index):
            switch nodes[index].kind {
            case .storage, .tensor: return .omitted
            case _ where nodes[index].items.count > budget: return .omitted
            case .tuple, .list, .set:
                var elements: [SideValue] = []
                for item in nodes[index].items where budget > 0 {
                    elements.append(sideValue(item, depth: depth + 1, budget: &budget))
                }
                return .list(elements)
            case .dictionary, .namespace:
                budget -= nodes[index].items.count / 2
                var entries: [String: SideValue] = [:]
                for (key, item) in self.entries(of: value) ?? []
                where budget > 0 && key.utf8.count <= Safetensors.maximumNameLength {
                    entries[key] = sideValue(item, depth: depth + 1, budget: &budget)
                }
                return .dictionary(entries)
            }
        }
    }
}
