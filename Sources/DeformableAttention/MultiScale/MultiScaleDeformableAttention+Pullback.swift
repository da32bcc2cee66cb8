import Layers
import Tensors

extension MultiScaleDeformableAttention {
    /// The gradients of a loss with respect to the module's inputs.
    public struct InputGradients: Sendable {
        /// `[N, Q, C]`
        public var query: Tensor
        /// `[N, Q, L, 2]` or `[N, Q, L, 4]`, like the references.
        public var references: Tensor
        /// `[N, S, C]`; zero where the source is padding.
        public var source: Tensor
    }

    /// The attention's output, and how a gradient flows back through it.
    ///
    /// The pullback adds the gradients of `sampling_offsets`, `attention_weights`, `value_proj` and `output_proj` to those
    /// it is given. The residual's gradient is the output's.
    ///
    /// - Parameters: as in ``callAsFunction(query:references:source:addingTo:)``.
    /// - Throws: as there.
    public func withPullback(
        query: Tensor, references: Tensor, source: FeatureSequence, addingTo residual: consuming Tensor? = nil
    ) throws(DeformableAttentionError) -> (
        output: Tensor, pullback: @Sendable (_ outputGradient: Tensor, _ gradients: inout Gradients) -> InputGradients
    ) {
        try validate(query: query, references: references, source: source)
        try validate(residual: residual?.shape, query: query)
        return recorded(query: query, references: references, source: source, addingTo: residual)
    }

    /// The same for inputs that suit each other.
    package func recorded(
        query: Tensor, references: Tensor, source: FeatureSequence, addingTo residual: consuming Tensor? = nil
    ) -> (
        output: Tensor, pullback: @Sendable (_ outputGradient: Tensor, _ gradients: inout Gradients) -> InputGradients
    ) {
        let (projected, valuePullback) = valueProjection.withPullback(source.values)
        var value = consume projected
        source.clearPadding(of: &value)
        let (projections, projectionPullback) = projection.withPullback(query)
        let (sampled, samplingPullback) = sampling.withPullback(
            value: value, layout: source.layout, projections: projections, references: references)
        let (output, outputPullback) = outputProjection.withPullback(sampled, addingTo: residual)
        return (
            output,
            { [outputShape = output.shape] outputGradient, gradients in
                precondition(
                    outputGradient.shape == outputShape, "gradient \(outputGradient.shape) of \(outputShape)")
                var inner = samplingPullback(outputPullback(outputGradient, &gradients))
                source.clearPadding(of: &inner.value)
                return InputGradients(
                    query: projectionPullback(inner.projections, &gradients), references: inner.references,
                    source: valuePullback(inner.value, &gradients))
            }
        )
    }
}
