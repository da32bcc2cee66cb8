import Tensors

/// The derivatives of a loss with respect to parameters, by the parameters' names in the checkpoint.
///
/// Layers that share a parameter add up what each of them contributes. The products behind weight gradients share their sums
/// among the threads: another number of threads gives other last digits.
public struct Gradients: Sendable {
    private var tensors: [String: Tensor] = [:]
    private let isWanted: ParameterFilter

    /// - Parameter isWanted: whether the parameter of that name is trained; the others get no gradient, and layers may ask
    ///   ``wants(_:)`` to save the work.
    public init(wanting isWanted: @escaping ParameterFilter = { _ in true }) {
        self.isWanted = isWanted
    }

    /// Whether the gradient of the parameter of that name is worth computing.
    public func wants(_ name: String) -> Bool { isWanted(name) }

    /// The gradient of one parameter, shaped like it; nil if no layer has contributed to it.
    public subscript(name: String) -> Tensor? { tensors[name] }

    /// In alphabetical order.
    public var names: [String] { tensors.keys.sorted() }

    /// Adds a layer's contribution; nothing if the gradient is not wanted.
    ///
    /// - Precondition: the same shape as what other layers have contributed.
    public mutating func add(_ gradient: Tensor, to name: String) {
        guard wants(name) else { return }
        tensors[name] = tensors[name]?.adding(gradient) ?? gradient
    }

    /// Adds what other layers, or other images, have contributed.
    public mutating func add(_ other: Gradients) {
        for name in other.names {
            if let gradient = other[name] { add(gradient, to: name) }
        }
    }
}

/// Tells trained parameters from frozen ones, by the name in the checkpoint.
public typealias ParameterFilter = @Sendable (_ name: String) -> Bool

/// Takes the gradient of a loss with respect to a layer's output, adds those of the layer's parameters to `gradients`, and
/// returns the one with respect to the layer's input (the product of vector and Jacobian).
public typealias Pullback = @Sendable (_ outputGradient: Tensor, _ gradients: inout Gradients) -> Tensor
