// Where weights come from: a file, a renamed view of one, or memory. Layers never see which.

import Tensors

/// Named tensors that are materialised one at a time.
public protocol TensorSource: Sendable {
    /// What errors call this source: a file's path.
    var origin: String { get }
    /// All names, in a stable order.
    var names: [String] { get }
    /// The shape of a tensor, outermost axis first; nil when there is no such tensor. Reads nothing.
    func shape(of name: String) -> Shape?
    /// The tensor as float32.
    ///
    /// - Throws: ``CheckpointError/missingTensor(path:name:expected:)`` when there is no such tensor, other
    ///   ``CheckpointError`` when its bytes are damaged.
    func tensor(_ name: String) throws -> Tensor
    /// The tensor to be made of what is stored when somebody needs it: for weights that a layer packs when it first runs.
    ///
    /// - Throws: as ``tensor(_:)``.
    func stored(_ name: String) throws -> StoredTensor
}

extension TensorSource {
    public func stored(_ name: String) throws -> StoredTensor {
        let tensor = try tensor(name)
        return StoredTensor(shape: tensor.shape) { tensor }
    }
}

/// Tensors in memory, in the order they were given.
public struct TensorDictionary: TensorSource {
    public let origin: String
    public private(set) var names: [String] = []
    private var tensors: [String: Tensor] = [:]

    public init(origin: String = "memory", _ tensors: KeyValuePairs<String, Tensor> = [:]) {
        self.origin = origin
        for (name, tensor) in tensors { self[name] = tensor }
    }

    /// A copy of everything that a source holds, such as a file's parameters to train from.
    ///
    /// - Throws: ``CheckpointError`` when a tensor's bytes are damaged.
    public init(copying source: some TensorSource) throws {
        self.init(origin: source.origin)
        for name in source.names {
            let tensor = try source.tensor(name)
            var copy = tensor
            // A view of a mapped file copies itself for its first write; the file need not stay in memory beside it.
            copy.withMutableElements { _ in }
            tensor.dropMappedPages()
            self[name] = copy
        }
    }

    /// The tensor of that name; a new name goes to the end.
    public subscript(name: String) -> Tensor? {
        get { tensors[name] }
        set {
            if tensors[name] == nil, newValue != nil { names.append(name) }
            if newValue == nil { names.removeAll { $0 == name } }
            tensors[name] = newValue
        }
    }

    /// Changes a tensor where it lies; copies it first only if someone else shares its memory. nil when there is none of that name.
    public mutating func withMutableElements<Result>(
        of name: String, _ body: (UnsafeMutableBufferPointer<Float>) throws -> Result
    ) rethrows -> Result? {
        try tensors[name]?.withMutableElements(body)
    }

    public func shape(of name: String) -> Shape? { tensors[name]?.shape }

    public func tensor(_ name: String) throws -> Tensor {
        guard let tensor = tensors[name] else {
            throw CheckpointError.missingTensor(path: origin, name: name, expected: nil)
        }
        return tensor
    }
}
