import CKernels
import Tensors

extension MultiHeadAttention {
    /// The gradients of a loss with respect to the attention's inputs.
    public struct InputGradients: Sendable {
        /// `[N, Q, width]`, as queries and as keys.
        public var query: Tensor
        /// `[N, Q, width]`
        public var target: Tensor
    }

    /// The attention's output, and how a gradient flows back through it. The residual's gradient is the output's.
    ///
    /// With A the weights, dO the gradient of a head's output and dA that of its weights: `dv = A^T dO`, `dA = dO v^T`,
    /// scores get softmax's gradient `dS = A (dA - sum of A dA)`, `dq = dS k / sqrt(D)`, `dk = dS^T q / sqrt(D)`.
    ///
    /// - Parameters: as in ``callAsFunction(query:target:addingTo:)``, and
    ///   - weightDropout: of the attention weights.
    ///   - outputDropout: of what is added to the residual.
    public func withPullback(
        query: Tensor, target: Tensor, addingTo residual: consuming Tensor, weightDropout: Dropout? = nil,
        outputDropout: Dropout? = nil
    ) -> (
        output: Tensor, pullback: (_ outputGradient: Tensor, _ gradients: inout Gradients) -> InputGradients
    ) {
        let plan = Plan(of: self, query: query, target: target)
        let (queryKeys, queryKeyPullback) = queryKey.withPullback(query)
        let (values, valuePullback) = value.withPullback(target)
        let weights = plan.weights(queryKeys: queryKeys)
        let attended = Factor(
            plan.attended(weights.droppingOut(weightDropout), values: values), precision: output.precision)
        let outputPullback = output.pullback(at: attended)
        let result =
            outputDropout == nil
            ? output(attended, addingTo: residual) : output(attended).droppingOut(outputDropout, addingTo: residual)
        return (
            result,
            { outputGradient, gradients in
                let attendedGradient = outputPullback(outputGradient.droppingOut(outputDropout), &gradients)
                let inner = plan.gradients(
                    of: attendedGradient, queryKeys: queryKeys, values: values, weights: weights, dropout: weightDropout
                )
                let wantsWeight = gradients.wants(path + ".in_proj_weight")
                let wantsBias = gradients.wants(path + ".in_proj_bias")
                var queryKeyGradients = Gradients { $0 == "weight" ? wantsWeight : wantsBias }
                var valueGradients = queryKeyGradients
                let result = InputGradients(
                    query: queryKeyPullback(inner.queryKeys, &queryKeyGradients),
                    target: valuePullback(inner.values, &valueGradients))
                for kind in ["weight", "bias"] {
                    guard let first = queryKeyGradients[kind], let second = valueGradients[kind] else {
                        continue
                    }
                    gradients.add(.concatenating(first, second), to: "\(path).in_proj_\(kind)")
                }
                return result
            }
        )
    }
}

extension MultiHeadAttention.Plan {
    /// - Parameters:
    ///   - attendedGradient: `[N, Q, M * D]`.
    ///   - weights: `[N, M, Q, Q]`, before dropout.
    /// - Returns: the gradients of `[N, Q, (query, key), M, D]` and `[N, Q, M, D]`.
    fileprivate func gradients(
        of attendedGradient: Tensor, queryKeys: Tensor, values: Tensor, weights: Tensor, dropout: Dropout?
    ) -> (queryKeys: Tensor, values: Tensor) {
        var valueGradient = Tensor(uninitialized: values.shape)
        product(inner: count, columns: headWidth, left: map.transposed, right: value, result: value)
            .run(left: weights.droppingOut(dropout), right: attendedGradient, into: &valueGradient)

        var scoreGradient = Tensor(uninitialized: weights.shape)
        product(inner: headWidth, columns: count, left: value, right: value.transposed, result: map)
            .run(left: attendedGradient, right: values, into: &scoreGradient)
        scoreGradient = scoreGradient.droppingOut(dropout)
        scoreGradient.withMutableElements { elements in
            guard let start = elements.baseAddress else { return }
            withExtendedLifetime(weights) {
                Parallel.forRanges(images * heads * count, minimumPerThread: 64) { rows in
                    let offset = rows.lowerBound * count
                    rows_softmax_gradient(
                        Int64(rows.count), Int64(count), weights.pointer + offset, start + offset)
                }
            }
        }

        let keyOffset = heads * headWidth
        var queryKeyGradient = Tensor(uninitialized: queryKeys.shape)
        product(inner: count, columns: headWidth, left: map, right: queryKey, result: queryKey)
            .run(left: scoreGradient, right: queryKeys, rightOffset: keyOffset, into: &queryKeyGradient)
        product(inner: count, columns: headWidth, left: map.transposed, right: queryKey, result: queryKey)
            .run(left: scoreGradient, right: queryKeys, into: &queryKeyGradient, resultOffset: keyOffset)
        queryKeyGradient.withMutableElements { for index in $0.indices { $0[index] *= scale } }
        return (queryKeyGradient, valueGradient)
    }
}
