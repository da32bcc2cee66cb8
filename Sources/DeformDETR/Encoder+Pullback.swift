import DeformableAttention
import Layers
import Tensors

extension Encoder {
    /// The gradients of a loss with respect to the encoder's inputs.
    struct InputGradients {
        /// `[N, S, C]`
        var features: Tensor
        /// `[N, S, C]`, summed over the layers.
        var position: Tensor
    }

    /// The memory, and how a gradient flows back through the layers.
    ///
    /// The pullback lets go of each layer's tensors when it is done with the layer, so it can be called once only.
    ///
    /// - Parameters: as in ``callAsFunction(_:position:)``.
    func withPullback(
        _ features: FeatureSequence, position: Tensor, dropout: inout DropoutStream
    ) -> (
        memory: FeatureSequence, pullback: (_ memoryGradient: Tensor, _ gradients: inout Gradients) -> InputGradients
    ) {
        let references = ReferencePoints.ofLocations(in: features)
        var memory = features
        var query = features.values.adding(position)
        var pullbacks: [EncoderLayer.LayerPullback] = []
        for layer in layers {
            let (values, nextQuery, pullback) = layer.withPullback(
                memory, query: query, references: references, position: position, dropout: &dropout)
            memory.values = values
            query = nextQuery
            pullbacks.append(pullback)
        }
        return (
            memory,
            { memoryGradient, gradients in
                var values = memoryGradient
                // Nobody asks the last layer's query anything.
                var query: Tensor?
                var position: Tensor?
                while let pullback = pullbacks.popLast() {
                    let inner = pullback(values, query, &gradients)
                    values = inner.values
                    query = inner.query
                    position = position?.adding(inner.query) ?? inner.query
                }
                return InputGradients(
                    features: query.map(values.adding) ?? values,
                    position: position ?? Tensor(memoryGradient.shape))
            }
        )
    }
}

extension EncoderLayer {
    /// From the gradients of the layer's values and of the next layer's query (nil: zero) to those of its own.
    typealias LayerPullback = (
        _ valuesGradient: Tensor, _ nextQueryGradient: Tensor?, _ gradients: inout Gradients
    ) -> (values: Tensor, query: Tensor)

    /// - Parameters:
    ///   - query: `features + position`, `[N, S, C]`.
    ///   - references: `[N, S, L, 2]`.
    /// - Returns: the layer's output and the next layer's query, `[N, S, C]` each. A query's gradient is also a position's.
    func withPullback(
        _ features: FeatureSequence, query: Tensor, references: Tensor, position: Tensor, dropout: inout DropoutStream
    ) -> (values: Tensor, nextQuery: Tensor, pullback: LayerPullback) {
        let (attended, attentionPullback) = attention.recorded(
            query: query, references: references, source: features, dropout: dropout.output(),
            addingTo: features.values)
        let (normalized, norm1Pullback) = norm1.withPullback(attended)
        let (fed, feedForwardPullback) = feedForward.withPullback(
            normalized, hiddenDropout: dropout.hidden(), outputDropout: dropout.output())
        let (values, nextQuery, norm2Pullback) = norm2.withPullback(fed, adding: position)
        return (
            values, nextQuery,
            { valuesGradient, nextQueryGradient, gradients in
                let fedGradient = norm2Pullback(valuesGradient, nextQueryGradient, &gradients)
                let attendedGradient = norm1Pullback(feedForwardPullback(fedGradient, &gradients), &gradients)
                let inner = attentionPullback(attendedGradient, &gradients)
                return (values: attendedGradient.adding(inner.source), query: inner.query)
            }
        )
    }
}

extension MultiScaleDeformableAttention {
    /// ``recorded(query:references:source:addingTo:)`` with dropout of what is added to the residual, whose gradient is the
    /// output's.
    func recorded(
        query: Tensor, references: Tensor, source: FeatureSequence, dropout: Dropout?, addingTo residual: Tensor
    ) -> (
        output: Tensor, pullback: (_ outputGradient: Tensor, _ gradients: inout Gradients) -> InputGradients
    ) {
        guard let dropout else {
            return recorded(query: query, references: references, source: source, addingTo: residual)
        }
        let (output, pullback) = recorded(query: query, references: references, source: source)
        return (
            output.droppingOut(dropout, addingTo: residual),
            { outputGradient, gradients in pullback(outputGradient.droppingOut(dropout), &gradients) }
        )
    }
}
