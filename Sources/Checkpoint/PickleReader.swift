// A pickle machine that can only describe data: it has an allow-list of names, builds nodes for them, and calls nothing.
// Source: CPython's Lib/pickletools.py (opcodes), torch/_weights_only_unpickler.py (what torch.save writes).

import Tensors

/// Reads one pickle of protocol 2 to 5.
struct PickleReader {
    static let maximumByteCount = 64 << 20
    static let maximumOpcodeCount = 1_000_000
    static let maximumStackCount = 10_000
    static let maximumMemoCount = 100_000

    private let bytes: ByteView
    private var position = 0
    private var stack: [PickleValue] = []
    /// Where in the stack each open MARK lies.
    private var marks: [Int] = []
    private var memo: [Int: PickleValue] = [:]
    private var nodes: [PickleNode] = []

    /// Reads the pickle at the beginning of `bytes`; more may follow it.
    static func read(_ bytes: ByteView) throws -> PickleDocument {
        var reader = PickleReader(bytes)
        return try reader.run()
    }

    private init(_ bytes: ByteView) {
        self.bytes = bytes
    }

    private mutating func run() throws -> PickleDocument {
        for _ in 0..<Self.maximumOpcodeCount {
            let opcodePosition = position
            let opcode = try nextByte()
            guard position <= Self.maximumByteCount else {
                throw bytes.limitExceeded("pickle (bytes)", limit: Self.maximumByteCount, found: position)
            }
            if opcode == UInt8(ascii: ".") {
                let root = try pop()
                guard stack.isEmpty, marks.isEmpty else {
                    throw bytes.malformed(
                        at: opcodePosition, expected: "one value at the pickle's end", found: "\(stack.count + 1)")
                }
                return PickleDocument(root: root, nodes: nodes, byteCount: position)
            }
            try execute(opcode, at: opcodePosition)
            guard stack.count + marks.count <= Self.maximumStackCount else {
                throw bytes.limitExceeded(
                    "pickle stack", limit: Self.maximumStackCount, found: stack.count + marks.count)
            }
        }
        throw bytes.limitExceeded(
            "pickle opcodes", limit: Self.maximumOpcodeCount, found: Self.maximumOpcodeCount + 1)
    }

    private mutating func execute(_ opcode: UInt8, at opcodePosition: Int) throws {
        switch opcode {
        // Framing.
        case 0x80:
            let version = try nextByte()
            guard 2...5 ~= version else {
                throw bytes.unsupported("pickle protocol \(version)", advice: "save it with protocol 2 to 5")
            }
        case 0x95: _ = try nextSize()

        // Constants.
        case UInt8(ascii: "N"): stack.append(.none)
        case 0x88: stack.append(.boolean(true))
        case 0x89: stack.append(.boolean(false))
        case UInt8(ascii: "J"): stack.append(.integer(Int(try nextInteger(Int32.self))))
        case UInt8(ascii: "K"): stack.append(.integer(Int(try nextByte())))
        case UInt8(ascii: "M"): stack.append(.integer(Int(try nextInteger(UInt16.self))))
        case 0x8A: stack.append(try nextLong(count: Int(try nextByte())))
        case 0x8B: stack.append(try nextLong(count: Int(try nextInteger(UInt32.self))))
        case UInt8(ascii: "G"):
            stack.append(.number(Double(bitPattern: try nextInteger(UInt64.self).byteSwapped)))

        // Text and bytes.
        case UInt8(ascii: "X"), UInt8(ascii: "T"):
            stack.append(.string(try nextText(count: Int(try nextInteger(UInt32.self)))))
        case 0x8C, UInt8(ascii: "U"): stack.append(.string(try nextText(count: Int(try nextByte()))))
        case 0x8D: stack.append(.string(try nextText(count: try nextSize())))
        case UInt8(ascii: "B"): try skipBytes(Int(try nextInteger(UInt32.self)))
        case UInt8(ascii: "C"): try skipBytes(Int(try nextByte()))
        case 0x8E, 0x96: try skipBytes(try nextSize())

        // Containers.
        case UInt8(ascii: ")"): push(.tuple, [])
        case UInt8(ascii: "]"): push(.list, [])
        case UInt8(ascii: "}"): push(.dictionary, [])
        case 0x8F: push(.set, [])
        case UInt8(ascii: "t"): push(.tuple, try popToMark())
        case UInt8(ascii: "l"): push(.list, try popToMark())
        case 0x91: push(.set, try popToMark())
        case UInt8(ascii: "d"): push(.dictionary, try requirePairs(try popToMark()))
        case 0x85: push(.tuple, try pop(1))
        case 0x86: push(.tuple, try pop(2))
        case 0x87: push(.tuple, try pop(3))
        case UInt8(ascii: "a"): try append(try pop(1), to: .list)
        case UInt8(ascii: "e"): try append(try popToMark(), to: .list)
        case 0x90: try append(try popToMark(), to: .set)
        case UInt8(ascii: "s"): try append(try pop(2), to: .dictionary)
        case UInt8(ascii: "u"): try append(try requirePairs(try popToMark()), to: .dictionary)

        // Stack and memo.
        case UInt8(ascii: "("): marks.append(stack.count)
        case UInt8(ascii: "0"): _ = try pop()
        case UInt8(ascii: "1"): _ = try popToMark()
        case UInt8(ascii: "2"): stack.append(try top())
        case UInt8(ascii: "q"): try remember(Int(try nextByte()))
        case UInt8(ascii: "r"): try remember(Int(try nextInteger(UInt32.self)))
        case 0x94: try remember(memo.count)
        case UInt8(ascii: "h"): try recall(Int(try nextByte()))
        case UInt8(ascii: "j"): try recall(Int(try nextInteger(UInt32.self)))

        // Names and the few calls that mean data.
        case UInt8(ascii: "c"):
            let module = try nextLine()
            stack.append(.global(try global(module, try nextLine())))
        case 0x93:
            guard case .string(let name) = try pop(), case .string(let module) = try pop() else {
                throw bytes.malformed(at: opcodePosition, expected: "two strings before STACK_GLOBAL", found: "others")
            }
            stack.append(.global(try global(module, name)))
        case UInt8(ascii: "R"):
            let arguments = try pop()
            stack.append(try describeCall(of: try pop(), arguments, at: opcodePosition))
        case 0x81:
            let arguments = try pop()
            guard case .global(.namespace) = try pop(), tupleItems(arguments)?.isEmpty == true else {
                throw bytes.malformed(
                    at: opcodePosition, expected: "argparse.Namespace() as the only new object", found: "another")
            }
            push(.namespace, [])
        case UInt8(ascii: "b"): try build(try pop(), at: opcodePosition)
        case UInt8(ascii: "Q"): try pushStorage(try pop(), at: opcodePosition)

        default:
            let known = 0x21..<0x7F ~= opcode ? "'\(Unicode.Scalar(opcode))'" : "0x" + String(opcode, radix: 16)
            throw bytes.malformed(
                at: opcodePosition, expected: "a pickle opcode that torch.save writes", found: "opcode \(known)")
        }
    }

    // MARK: - Reading

    private mutating func nextByte() throws -> UInt8 {
        let byte = try bytes.byte(at: position)
        position += 1
        return byte
    }

    private mutating func nextInteger<Value: FixedWidthInteger & BitwiseCopyable>(_ type: Value.Type) throws -> Value {
        let value = try bytes.integer(type, at: position)
        position += MemoryLayout<Value>.size
        return value
    }

    private mutating func nextSize() throws -> Int {
        let size = try bytes.size(at: position)
        position += 8
        return size
    }

    private mutating func nextText(count: Int) throws -> String {
        let text = try bytes.text(at: position, count: count)
        position += count
        return text
    }

    /// Nothing that a checkpoint holds as bytes is of use here.
    private mutating func skipBytes(_ count: Int) throws {
        _ = try bytes.view(at: position, count: count)
        position += count
        stack.append(.bytes)
    }

    /// A name that ends with a line feed.
    private mutating func nextLine() throws -> String {
        let start = position
        while try nextByte() != 0x0A {
            guard position - start <= 1000 else {
                throw bytes.malformed(at: start, expected: "a name of at most 1000 bytes", found: "a longer one")
            }
        }
        return try bytes.text(at: start, count: position - 1 - start)
    }

    /// A little-endian two's complement integer.
    private mutating func nextLong(count: Int) throws -> PickleValue {
        let view = try bytes.view(at: position, count: count)
        position += count
        guard count <= 8 else { return .largeInteger }
        guard count > 0 else { return .integer(0) }
        var value = Int(Int8(bitPattern: try view.byte(at: count - 1)))
        for offset in (0..<count - 1).reversed() { value = value << 8 | Int(try view.byte(at: offset)) }
        return .integer(value)
    }

    // MARK: - Stack

    /// The lowest position that may be taken without crossing a mark.
    private var stackFloor: Int { marks.last ?? 0 }

    private mutating func pop() throws -> PickleValue {
        guard stack.count > stackFloor else { throw underflow() }
        return stack.removeLast()
    }

    private mutating func pop(_ count: Int) throws -> [PickleValue] {
        guard stack.count - stackFloor >= count else { throw underflow() }
        defer { stack.removeLast(count) }
        return Array(stack.suffix(count))
    }

    private func top() throws -> PickleValue {
        guard stack.count > stackFloor, let value = stack.last else { throw underflow() }
        return value
    }

    private mutating func popToMark() throws -> [PickleValue] {
        guard let mark = marks.popLast() else { throw underflow() }
        defer { stack.removeSubrange(mark...) }
        return Array(stack[mark...])
    }

    private func underflow() -> CheckpointError {
        bytes.malformed(at: position, expected: "a value on the pickle's stack", found: "none")
    }

    private mutating func push(_ kind: PickleNode.Kind, _ items: [PickleValue]) {
        nodes.append(PickleNode(kind: kind, items: items))
        stack.append(.node(nodes.count - 1))
    }

    private func requirePairs(_ items: [PickleValue]) throws -> [PickleValue] {
        guard items.count % 2 == 0 else {
            throw bytes.malformed(at: position, expected: "a value for each key", found: "a key alone")
        }
        return items
    }

    private enum ContainerKind { case list, set, dictionary }

    /// Adds to the container on top of the stack.
    private mutating func append(_ items: [PickleValue], to expected: ContainerKind) throws {
        guard case .node(let index) = try top() else {
            throw bytes.malformed(at: position, expected: "a container to add to", found: "a plain value")
        }
        switch (nodes[index].kind, expected) {
        case (.list, .list), (.set, .set), (.dictionary, .dictionary): nodes[index].items.append(contentsOf: items)
        default: throw bytes.malformed(at: position, expected: "a container of that kind", found: "another value")
        }
    }

    private mutating func remember(_ key: Int) throws {
        memo[key] = try top()
        guard memo.count <= Self.maximumMemoCount else {
            throw bytes.limitExceeded("pickle memo", limit: Self.maximumMemoCount, found: memo.count)
        }
    }

    private mutating func recall(_ key: Int) throws {
        guard let value = memo[key] else {
            throw bytes.malformed(at: position, expected: "a memo entry \(key)", found: "none")
        }
        stack.append(value)
    }

    // MARK: - Names and calls

    private func global(_ module: String, _ name: String) throws -> PickleGlobal {
        guard let global = PickleGlobal(module: module, name: name) else {
            throw CheckpointError.forbiddenGlobal(
                path: bytes.file.path, name: "\(module).\(name)".replacingControlCharacters)
        }
        return global
    }

    private func tupleItems(_ value: PickleValue) -> [PickleValue]? {
        guard case .node(let index) = value, case .tuple = nodes[index].kind else { return nil }
        return nodes[index].items
    }

    /// A tuple's integers: all, or one more than any tensor's rank.
    private func integers(_ value: PickleValue) -> [Int]? {
        guard let items = tupleItems(value) else { return nil }
        var integers: [Int] = []
        for item in items.prefix(Safetensors.maximumRank + 1) {
            guard case .integer(let integer) = item else { return nil }
            integers.append(integer)
        }
        return integers
    }

    /// What `function(*arguments)` would make, as data.
    private mutating func describeCall(
        of function: PickleValue, _ arguments: PickleValue, at position: Int
    ) throws -> PickleValue {
        guard case .global(let function) = function, let arguments = tupleItems(arguments) else {
            throw bytes.malformed(at: position, expected: "a permitted name and a tuple before REDUCE", found: "others")
        }
        switch function {
        case .orderedDictionary where arguments.isEmpty, .counter where arguments.isEmpty:
            return newNode(PickleNode(kind: .dictionary))
        case .counter where arguments.count == 1, .size where arguments.count == 1:
            return arguments[0]
        case .device where !arguments.isEmpty:
            return arguments[0]
        case .rebuildParameter where arguments.count >= 1:
            guard case .node(let index) = arguments[0], case .tensor = nodes[index].kind else { break }
            return arguments[0]
        case .rebuildTensor where arguments.count >= 4:
            guard case .node(let index) = arguments[0], case .storage(let storage) = nodes[index].kind,
                case .integer(let offset) = arguments[1], let dimensions = integers(arguments[2]),
                let strides = integers(arguments[3])
            else { break }
            guard dimensions.count <= Safetensors.maximumRank else {
                throw bytes.limitExceeded("rank", limit: Safetensors.maximumRank, found: dimensions.count)
            }
            guard let tensor = TorchTensor(storage, offset: offset, dimensions: dimensions, strides: strides) else {
                throw bytes.malformed(
                    at: position,
                    expected: "a tensor inside the \(storage.elementCount) elements of storage '\(storage.key)'",
                    found: "shape \(dimensions), strides \(strides), offset \(offset)")
            }
            return newNode(PickleNode(kind: .tensor(tensor)))
        default: break
        }
        throw bytes.malformed(at: position, expected: "the arguments that torch.save writes", found: "others")
    }

    private mutating func newNode(_ node: PickleNode) -> PickleValue {
        nodes.append(node)
        return .node(nodes.count - 1)
    }

    /// BUILD sets attributes: those of a namespace are kept, those of an ordered dictionary (`_metadata`) are not needed.
    private mutating func build(_ state: PickleValue, at position: Int) throws {
        guard case .node(let index) = try top(), case .node(let stateIndex) = state,
            case .dictionary = nodes[stateIndex].kind
        else {
            throw bytes.malformed(at: position, expected: "an object and its attributes before BUILD", found: "others")
        }
        switch nodes[index].kind {
        // Once only: repeated, a short pickle could describe any amount of attributes.
        case .namespace where nodes[index].items.isEmpty: nodes[index].items = nodes[stateIndex].items
        case .dictionary: break
        default:
            throw bytes.malformed(at: position, expected: "an object without attributes yet", found: "another value")
        }
    }

    /// BINPERSID: `("storage", type, key, location, element count[, view])`.
    private mutating func pushStorage(_ identifier: PickleValue, at position: Int) throws {
        guard let items = tupleItems(identifier), 5...6 ~= items.count, case .string("storage") = items[0],
            case .global(.storage(let elementType)) = items[1], case .string(let key) = items[2],
            key.utf8.count <= Safetensors.maximumNameLength, case .integer(let elementCount) = items[4],
            elementCount >= 0,
            !elementCount.multipliedReportingOverflow(by: elementType.byteCount).overflow
        else {
            throw bytes.malformed(at: position, expected: "a reference to a storage", found: "another persistent id")
        }
        if items.count == 6 {
            guard case .none = items[5] else {
                throw bytes.unsupported(
                    "views of storages (PyTorch 0.3 and older)", advice: "save it with a newer PyTorch")
            }
        }
        push(.storage(TorchStorage(key: key, elementType: elementType, elementCount: elementCount)), [])
    }
}

extension String {
    /// Safe to show on a terminal.
    package var replacingControlCharacters: String {
        String(String.UnicodeScalarView(unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? "?" : $0 }))
    }
}
