// The cursor by which layers ask for their weights, so that code spells the checkpoint's keys and the expected shapes (the idea is
// candle's VarBuilder).

import Synchronization
import Tensors

/// A place in a checkpoint's tree of names: `cursor["transformer"]["encoder"]["layers"][0]`.
///
/// All cursors of one tree share a record of what was asked for, so that ``unusedNames`` can tell what was left over.
public struct WeightCursor: Sendable {
    /// The dotted path of this place; empty at the root.
    public let path: String
    /// What errors call the source: a file's path.
    public var origin: String { tree.source.origin }
    private let tree: Tree

    /// What all cursors of one tree share.
    private final class Tree: Sendable {
        let source: any TensorSource
        let allowsNonfinite: Bool
        let used = Mutex<Set<String>>([])

        init(source: any TensorSource, allowsNonfinite: Bool) {
            self.source = source
            self.allowsNonfinite = allowsNonfinite
        }
    }

    /// The root of `source`.
    ///
    /// - Parameter allowsNonfinite: hand out tensors with NaN or infinity instead of throwing.
    public init(_ source: any TensorSource, allowsNonfinite: Bool = false) {
        tree = Tree(source: source, allowsNonfinite: allowsNonfinite)
        path = ""
    }

    private init(tree: Tree, path: String) {
        self.tree = tree
        self.path = path
    }

    public subscript(component: String) -> WeightCursor {
        WeightCursor(tree: tree, path: name(of: component))
    }

    public subscript(index: Int) -> WeightCursor { self[String(index)] }

    /// Whether there is a tensor of that name here.
    public func contains(_ name: String) -> Bool { shape(of: name) != nil }

    /// The shape of a tensor here, or nil; does not count as a use.
    public func shape(of name: String) -> Shape? { tree.source.shape(of: self.name(of: name)) }

    /// The tensor `name` of this place, which must have exactly this shape.
    ///
    /// - Throws: ``CheckpointError`` naming the full path: missing, another shape, NaN or infinity, damaged bytes.
    public func tensor(_ name: String, _ expected: Shape) throws -> Tensor {
        let name = try checkedName(name, expected)
        let tensor = try tree.source.tensor(name)
        try requireFinite(tensor, of: name)
        tree.used.withLock { _ = $0.insert(name) }
        return tensor
    }

    /// The same, to be made when it is needed; what is stored is checked now.
    ///
    /// - Throws: as ``tensor(_:_:)``.
    public func stored(_ name: String, _ expected: Shape) throws -> StoredTensor {
        let name = try checkedName(name, expected)
        let stored = try tree.source.stored(name)
        if let steps = stored.steps {
            // Whole numbers are at most 128 steps.
            try requireFinite(Tensor([steps.count], steps.map { $0 * 128 }), of: name + WeightFile.stepSuffix)
        } else {
            let tensor = stored()
            try requireFinite(tensor, of: name)
            tensor.dropMappedPages()
        }
        tree.used.withLock { _ = $0.insert(name) }
        return stored
    }

    /// The full name of a tensor that must have this shape.
    private func checkedName(_ name: String, _ expected: Shape) throws -> String {
        let name = self.name(of: name)
        guard let found = tree.source.shape(of: name) else {
            throw CheckpointError.missingTensor(path: tree.source.origin, name: name, expected: expected)
        }
        guard found == expected else {
            throw CheckpointError.wrongShape(
                path: tree.source.origin, name: name, expected: expected, found: found)
        }
        return name
    }

    private func requireFinite(_ tensor: Tensor, of name: String) throws {
        if !tree.allowsNonfinite, let index = tensor.firstNonfiniteIndex {
            throw CheckpointError.nonfinite(
                path: tree.source.origin, name: name, index: index, value: "\(tensor.withElements { $0[index] })")
        }
    }

    /// The names of the whole tree that nobody has asked for, in the source's order.
    public var unusedNames: [String] {
        let used = tree.used.withLock { $0 }
        return tree.source.names.filter { !used.contains($0) }
    }

    /// Call when the model is built: what the file holds and nobody asked for belongs to another model.
    ///
    /// - Throws: ``CheckpointError/unexpectedTensors(path:names:)``.
    public func requireAllUsed() throws {
        let names = unusedNames
        guard names.isEmpty else { throw CheckpointError.unexpectedTensors(path: tree.source.origin, names: names) }
    }

    /// The full name of a tensor here.
    public func name(of component: String) -> String { path.isEmpty ? component : "\(path).\(component)" }
}

extension Tensor {
    /// The position in memory order of the first NaN or infinity.
    package var firstNonfiniteIndex: Int? {
        withElements { elements in
            // x * 0 is 0 for a finite x and NaN for others: a sum that the compiler can keep in vector registers.
            var sums = SIMD16<Float>.zero
            let whole = elements.count / 16 * 16
            let bytes = UnsafeRawBufferPointer(elements)
            for index in stride(from: 0, to: whole, by: 16) {
                sums += bytes.loadUnaligned(fromByteOffset: index * 4, as: SIMD16<Float>.self) * 0
            }
            let checked = sums.sum() == 0 ? whole : 0
            return elements.indices.dropFirst(checked).first { !elements[$0].isFinite }
        }
    }
}
