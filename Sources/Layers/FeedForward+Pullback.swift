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
        let factor1 = Factor(input, precision: linear1.precision)
        let pullback1 = linear1.pullback(at: factor1)
        let hidden = linear1(factor1, activation: .relu).droppingOut(hiddenDropout)
        // What was dropped has no gradient any more, so that its 0 may count as the ReLU's.
        let mask = ReLUMask(of: hidden)
        let factor2 = Factor(hidden, precision: linear2.precision)
        let pullback2 = linear2.pullback(at: factor2)
        let output =
            outputDropout == nil
            ? linear2(factor2, addingTo: input) : linear2(factor2).droppingOut(outputDropout, addingTo: input)
        return (
            output,
            { outputGradient, gradients in
                var hiddenGradient = pullback2(outputGradient.droppingOut(outputDropout), &gradients)
                // What was dropped counts as kept back by the ReLU, so that its backward is that of the dropout, too.
                let scale = hiddenDropout.map { 1 / (1 - $0.probability) } ?? 1
                hiddenGradient = mask.gradient(of: consume hiddenGradient, scale: scale)
                return pullback1(hiddenGradient, &gradients).adding(outputGradient)
            }
        )
    }
}
