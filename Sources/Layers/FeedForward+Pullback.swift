import Tensors

extension FeedForward {
    /// `x + dropout(linear2(dropout(relu(linear1(x)))))`, and how a gradient flows back through it.
    ///
    /// - Parameters:
    ///   - input: `[..., width]`.
    ///   - hiddenDropout: of what the ReLU gives.
    ///   - outputDropout: of what is added to the input.
    /// - Source: `forward_ffn` in `models/deformable_transformer.py` of fundamentalvision/Deformable-DETR.
    public func withPullback(
        _ input: Tensor, hiddenDropout: Dropout? = nil, outputDropout: Dropout? = nil
    ) -> (output: Tensor, pullback: Pullback) {
        let pullback1 = linear1.pullback(at: input)
        let hidden = linear1(input, activation: .relu).droppingOut(hiddenDropout)
        let pullback2 = linear2.pullback(at: hidden)
        let output =
            outputDropout == nil
            ? linear2(hidden, addingTo: input) : linear2(hidden).droppingOut(outputDropout, addingTo: input)
        return (
            output,
            { outputGradient, gradients in
                let hiddenGradient = pullback2(outputGradient.droppingOut(outputDropout), &gradients)
                // A 0 in `hidden` is one of the ReLU's or of the dropout's: neither has a gradient.
                let scale = hiddenDropout.map { 1 / (1 - $0.probability) } ?? 1
                return pullback1(hiddenGradient.maskedByReLU(of: hidden, scale: scale), &gradients)
                    .adding(outputGradient)
            }
        )
    }
}
