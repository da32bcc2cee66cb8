import Tensors

/// The derivatives of a loss with respect to parameters, by the parameters' names in the checkpoint.
///
/// Layers that share a parameter add up what each of them contributes. The products behind weight gradients share their sums
/// among the threads: another number of threads gives other last digits.
public struct Gradients: Sendable {
    private var tensors: [String: Tensor] = [:]

    public init() {}

    /// The gradient of one parameter, shaped like it; nil if no layer has contributed to it.
    public subscript(name: String) -> Tensor? { tensors[name] }

    /// In alphabetical order.
    public var names: [String] { tensors.keys.sorted() }

    /// Adds a layer's contribution.
    ///
    /// - Precondition: the same shape as what other layers have contributed.
    public mutating func add(_ gradient: Tensor, to name: String) {
        tensors[name] = tensors[name]?.adding(gradient) ?? gradient
    }
}

/// Takes the gradient of a loss with respect to a layer's output, adds those of the layer's parameters to `gradients`, and
/// returns the one with respect to the layer's input (the product of vector and Jacobian).
public typealias Pullback = @Sendable (_ outputGradient: Tensor, _ gradients: inout Gradients) -> Tensor
