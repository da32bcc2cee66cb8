import CKernels
import Tensors

extension LayerNorm {
    /// The layer's output, and how a gradient flows back through it: see `rows_layer_norm_gradient`.
    ///
    /// - Parameter input: `[..., width]`.
    public func withPullback(_ input: Tensor) -> (output: Tensor, pullback: Pullback) {
        let rows = rows(of: input)
        let output = Tensor(input.shape) { output in
            guard let target = output.baseAddress else { return }
            withExtendedLifetime(input) {
                normalize(rows: rows, from: input.pointer, into: target, position: nil, sum: nil)
            }
        }
        return (output, { self.goBack($0, input: input, to: &$1) })
    }

    /// Normalises and adds a position encoding in the same pass, as ``callAsFunction(_:adding:)`` does.
    ///
    /// - Returns: both outputs, and how their gradients flow back to the input (nil stands for a query's of zero). The
    ///   position's gradient is the query's.
    public func withPullback(
        _ input: Tensor, adding position: Tensor
    ) -> (
        normalized: Tensor, query: Tensor,
        pullback: (_ normalizedGradient: Tensor, _ queryGradient: Tensor?, _ gradients: inout Gradients) -> Tensor
    ) {
        precondition(position.shape == input.shape, "position \(position.shape) for \(input.shape)")
        let rows = rows(of: input)
        var query = Tensor(uninitialized: input.shape)
        let normalized = query.withMutableElements { query in
            Tensor(input.shape) { output in
                guard let target = output.baseAddress else { return }
                withExtendedLifetime(input) {
                    normalize(
                        rows: rows, from: input.pointer, into: target, position: position, sum: query.baseAddress)
                }
            }
        }
        return (normalized, query, { goBack($1.map($0.adding) ?? $0, input: input, to: &$2) })
    }

    /// Parameter gradients are summed in blocks of rows, so that they don't depend on the number of threads.
    private func goBack(_ outputGradient: Tensor, input: Tensor, to gradients: inout Gradients) -> Tensor {
        precondition(outputGradient.shape == input.shape, "gradient \(outputGradient.shape) of \(input.shape)")
        let rows = rows(of: input)
        let blockRows = 256
        let blocks = (rows + blockRows - 1) / blockRows
        // [blocks, (gain, bias)]
        var parameters = Tensor([blocks, 2 * width])
        let inputGradient = parameters.withMutableElements { parameters in
            Tensor(input.shape) { inputGradient in
                guard let parameters = parameters.baseAddress, let target = inputGradient.baseAddress else { return }
                withExtendedLifetime((outputGradient, input, gain)) {
                    Parallel.forRanges(blocks) { range in
                        for block in range {
                            let start = block * blockRows
                            rows_layer_norm_gradient(
                                Int64(min(blockRows, rows - start)), Int64(width), input.pointer + start * width,
                                gain.pointer, Self.epsilon, outputGradient.pointer + start * width,
                                target + start * width, parameters + block * 2 * width,
                                parameters + (block * 2 + 1) * width)
                        }
                    }
                }
            }
        }
        if let path {
            let sums = parameters.columnSums()
            gradients.add(sums.rows(0..<width), to: path + ".weight")
            gradients.add(sums.rows(width..<2 * width), to: path + ".bias")
        }
        return inputGradient
    }
}
