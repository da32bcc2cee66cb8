import Tensors

extension MultiLayerPerceptron {
    /// The layers' output, and how a gradient flows back through them.
    ///
    /// - Parameter input: `[..., first width]`.
    public func withPullback(_ input: Tensor) -> (output: Tensor, pullback: Pullback) {
        var value = input
        var pullbacks: [Pullback] = []
        for (index, layer) in layers.enumerated() {
            let (output, pullback) = layer.withPullback(
                value, activation: index + 1 < layers.count ? .relu : .none)
            value = output
            pullbacks.append(pullback)
        }
        return (
            value,
            { [pullbacks] outputGradient, gradients in
                var gradient = outputGradient
                for pullback in pullbacks.reversed() { gradient = pullback(gradient, &gradients) }
                return gradient
            }
        )
    }
}
