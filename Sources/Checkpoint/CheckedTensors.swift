import Tensors

/// A view of a source for writing: each tensor is checked as a layer that loads it would check it, so that no file is written
/// that could not be read again.
package struct CheckedTensors: TensorSource {
    private let cursor: WeightCursor
    package let names: [String]
    private let shapes: [String: Shape]

    /// Some of a source's tensors, in this order.
    ///
    /// - Parameters:
    ///   - cursor: at the root; it decides whether values must be finite.
    ///   - tensors: names and the shapes that they must have.
    package init(_ cursor: WeightCursor, tensors: [(name: String, shape: Shape)]) {
        self.cursor = cursor
        names = tensors.map(\.name)
        shapes = Dictionary(tensors.map { ($0.name, $0.shape) }) { first, _ in first }
    }

    /// All of a source's tensors, which must be finite.
    package init(_ source: some TensorSource) {
        self.init(
            WeightCursor(source),
            tensors: source.names.compactMap { name in source.shape(of: name).map { (name, $0) } })
    }

    package var origin: String { cursor.origin }

    package func shape(of name: String) -> Shape? { shapes[name] }

    package func tensor(_ name: String) throws -> Tensor {
        guard let shape = shapes[name] else {
            throw CheckpointError.missingTensor(path: origin, name: name, expected: nil)
        }
        return try cursor.tensor(name, shape)
    }
}
