import Tensors

/// A tensor that is made of what a source stores whenever it is asked for.
public struct StoredTensor: Sendable {
    public let shape: Shape
    private let make: @Sendable () -> Tensor
    private let whole: WholeNumbers?

    /// The elements in units of steps. A row is a slice along the first axis.
    private struct WholeNumbers: Sendable {
        var steps: [Float]
        var make: @Sendable () -> Tensor
    }

    /// - Parameter make: gives a tensor of this shape.
    public init(shape: Shape, make: @escaping @Sendable () -> Tensor) {
        self.init(shape: shape, make: make, whole: nil)
    }

    /// - Parameters:
    ///   - steps: what the numbers of each row count.
    ///   - numbers: gives whole numbers of -128...127, of this shape.
    package init(shape: Shape, steps: [Float], numbers: @escaping @Sendable () -> Tensor) {
        precondition(shape.rank > 0 && shape[0] == steps.count, "\(steps.count) steps for \(shape)")
        let factors = steps.map(Double.init)
        self.init(
            shape: shape, make: { Self.scaled(numbers(), by: factors) },
            whole: WholeNumbers(steps: steps, make: numbers))
    }

    private init(shape: Shape, make: @escaping @Sendable () -> Tensor, whole: WholeNumbers?) {
        self.shape = shape
        self.make = make
        self.whole = whole
    }

    public func callAsFunction() -> Tensor { make() }

    /// For whole numbers: what they count, by row.
    package var steps: [Float]? { whole?.steps }

    /// The elements in units of the rows' ``steps``.
    ///
    /// - Precondition: there are steps.
    package func numbers() -> Tensor {
        guard let whole else { preconditionFailure("elements without steps") }
        return whole.make()
    }

    /// Of whole numbers, those that these steps make of the elements.
    package func inSteps(_ steps: [Float]) -> StoredTensor {
        StoredTensor(shape: shape, steps: steps) { Self.scaled(self(), by: steps.map { 1 / Double($0) }) }
    }

    /// Each row multiplied by its factor.
    package func scalingRows(by factors: [Double]) -> StoredTensor {
        // A factor's sign goes to the numbers, because steps have none.
        let signs = factors.map { $0 < 0 ? -1.0 : 1 }
        var scaledWhole = whole
        if let whole {
            scaledWhole?.steps = zip(whole.steps, factors).map { Float(Double($0) * abs($1)) }
            if signs.contains(-1) { scaledWhole?.make = { Self.scaled(whole.make(), by: signs) } }
        }
        return StoredTensor(shape: shape, make: { Self.scaled(self(), by: factors) }, whole: scaledWhole)
    }

    /// Tensors of the same row shape, one after the other along the first axis; whole numbers if all are.
    package static func stacking(_ parts: [StoredTensor]) -> StoredTensor {
        precondition(!parts.isEmpty, "no tensors to stack")
        guard parts.count > 1 else { return parts[0] }
        let shape = Shape([parts.reduce(0) { $0 + $1.shape[0] }] + parts[0].shape.dimensions.dropFirst())
        let steps = parts.compactMap(\.steps)
        guard steps.count == parts.count else {
            return StoredTensor(shape: shape) { stacked(parts.map { $0() }) }
        }
        return StoredTensor(shape: shape, steps: steps.flatMap { $0 }) { stacked(parts.map { $0.numbers() }) }
    }

    private static func stacked(_ tensors: [Tensor]) -> Tensor {
        tensors.dropFirst().reduce(tensors[0]) { .concatenating($0, $1) }
    }

    private static func scaled(_ tensor: consuming Tensor, by factors: [Double]) -> Tensor {
        var tensor = tensor
        tensor.scaleRows(by: factors)
        return tensor
    }
}
