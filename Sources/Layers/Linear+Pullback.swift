import CKernels
import Tensors

extension Linear {
    /// The layer's output, and how a gradient flows back through it.
    ///
    /// With `dy` the gradient of the output (set to zero where ReLU gave zero): `dx = dy W`, `dW = dy^T x`, `db = sum of dy
    /// over the rows`. The residual's gradient is `dy` itself, so it may come with no activation only.
    ///
    /// - Parameters: as in ``callAsFunction(_:activation:addingTo:)``.
    public func withPullback(
        _ input: Tensor, activation: Activation = .none, addingTo residual: consuming Tensor? = nil
    ) -> (output: Tensor, pullback: Pullback) {
        precondition(activation == .none || residual == nil, "the residual's gradient needs the activation's")
        let input = Factor(input, precision: precision)
        let linear = pullback(at: input)
        let output = self(input, activation: activation, addingTo: residual)
        let mask = ReLUMask(of: output, activation: activation)
        return (
            output,
            { outputGradient, gradients in
                linear(mask?.gradient(of: outputGradient) ?? outputGradient, &gradients)
            }
        )
    }

    /// How a gradient flows back through the product alone, without an activation. Ask for it before the layer's first call:
    /// the weights are still as the checkpoint has them.
    func pullback(at input: Factor) -> Pullback {
        precondition(!sources.isEmpty, "a linear layer of no checkpoint has no names for its parameters' gradients")
        let weight = Factor(weights.plain([outputWidth, inputWidth]), precision: precision)
        let outputShape = Shape(input.shape.dimensions.dropLast() + [outputWidth])
        return { gradient, gradients in
            precondition(gradient.shape == outputShape, "gradient \(gradient.shape) of \(outputShape)")
            let factor = Factor(gradient, precision: precision)
            addParameterGradients(of: gradient, factor: factor, input: input, to: &gradients)
            var inputGradient = Tensor(uninitialized: input.shape)
            Product.matrices(rows: gradient.count / outputWidth, inner: outputWidth, columns: inputWidth, isCutUp: true)
                .run(left: factor, right: weight, into: &inputGradient)
            return inputGradient
        }
    }

    /// - Parameter factor: the gradient as a factor.
    private func addParameterGradients(
        of gradient: Tensor, factor: Factor, input: Factor, to gradients: inout Gradients
    ) {
        if sources.contains(where: { gradients.wants($0.weightName) }) {
            let rows = gradient.count / outputWidth
            var weightGradient = Tensor(uninitialized: [outputWidth, inputWidth])
            if rows == 0 {
                weightGradient = Tensor([outputWidth, inputWidth])
            } else {
                Product.matrices(
                    rows: outputWidth, inner: rows, columns: inputWidth, transposingLeft: true, isCutUp: true
                )
                .run(left: factor, right: input, into: &weightGradient)
            }
            for source in sources { gradients.add(weightGradient.rows(source.rows), to: source.weightName) }
        }
        if bias != nil, sources.contains(where: { gradients.wants($0.biasName) }) {
            let biasGradient = gradient.columnSums()
            for source in sources { gradients.add(biasGradient.rows(source.rows), to: source.biasName) }
        }
    }
}

extension Tensor {
    /// The sum over all axes but the last, `[C]`; the same for any number of threads.
    package func columnSums() -> Tensor {
        let width = shape.last
        let rows = count / max(1, width)
        let blockRows = 512
        let blocks = (rows + blockRows - 1) / blockRows
        var partial = Tensor([blocks, width])
        partial.withMutableElements { sums in
            guard let sums = sums.baseAddress else { return }
            withExtendedLifetime(self) {
                Parallel.forRanges(blocks) { range in
                    for block in range {
                        let first = block * blockRows
                        rows_add_column_sums(
                            Int64(min(blockRows, rows - first)), Int64(width), pointer + first * width,
                            sums + block * width)
                    }
                }
            }
        }
        var total = Tensor([width])
        total.withMutableElements { total in
            guard let start = total.baseAddress else { return }
            withExtendedLifetime(partial) {
                rows_add_column_sums(Int64(blocks), Int64(width), partial.pointer, start)
            }
        }
        return total
    }
}
