import DeformableAttention
import Layers
import Tensors

extension Decoder {
    /// The gradients of a loss with respect to the decoder's inputs.
    struct InputGradients {
        /// Shaped like the queries.
        var queries: ObjectQueries
        /// `[N, S, C]`
        var memory: Tensor
    }

    /// What each layer predicts, and how gradients flow back through heads and layers.
    ///
    /// References that a layer has refined reach the next one as numbers: no gradient flows through them. The pullback lets go
    /// of each layer's tensors when it is done with the layer, so it can be called once only.
    ///
    /// - Parameters: as in ``callAsFunction(_:memory:heads:)``.
    /// - Source: `.detach()` in `DeformableTransformerDecoder.forward` of `models/deformable_transformer.py`,
    ///   fundamentalvision/Deformable-DETR.
    func withPullback(
        _ queries: ObjectQueries, memory: FeatureSequence, heads: [PredictionHead], dropout: inout DropoutStream
    ) -> (
        predictions: [Predictions],
        pullback: (_ predictionGradients: [Predictions], _ gradients: inout Gradients) -> InputGradients
    ) {
        var target = queries.target
        var references = queries.references
        var predictions: [Predictions] = []
        var pullbacks: [(layer: DecoderLayer.LayerPullback, head: PredictionHead.Pullback)] = []
        for (layer, head) in zip(layers, heads) {
            let (hidden, layerPullback) = layer.withPullback(
                target, position: queries.position, references: ReferencePoints.inLevels(references, of: memory),
                memory: memory, dropout: &dropout)
            let (predicted, headPullback) = head.withPullback(hidden, references: references)
            target = hidden
            if refinesReferences { references = predicted.boxes }
            predictions.append(predicted)
            pullbacks.append((layerPullback, headPullback))
        }
        let (memoryShape, refinesReferences) = (memory.values.shape, refinesReferences)
        return (
            predictions,
            { predictionGradients, gradients in
                precondition(
                    predictionGradients.count == pullbacks.count,
                    "gradients of \(predictionGradients.count) layers for \(pullbacks.count); a pullback can be called once"
                )
                var target = Tensor(queries.target.shape)
                var position = Tensor(queries.position.shape)
                var references = Tensor(queries.references.shape)
                var memoryGradient = Tensor(memoryShape)
                while let pullback = pullbacks.popLast() {
                    let index = pullbacks.count
                    let ofHead = pullback.head(predictionGradients[index], &gradients)
                    let ofLayer = pullback.layer(target.adding(ofHead.hidden), &gradients)
                    target = ofLayer.target
                    position = position.adding(ofLayer.position)
                    memoryGradient = memoryGradient.adding(ofLayer.memory)
                    if index == 0 || !refinesReferences {
                        let ofLevels = ReferencePoints.gradientsOfInLevels(ofLayer.references, of: memory)
                        references = references.adding(ofLevels).adding(ofHead.references)
                    }
                }
                return InputGradients(
                    queries: ObjectQueries(target: target, position: position, references: references),
                    memory: memoryGradient)
            }
        )
    }
}

extension DecoderLayer {
    /// The gradients of a loss with respect to a layer's inputs.
    struct InputGradients {
        /// `[N, Q, C]`
        var target: Tensor
        /// `[N, Q, C]`
        var position: Tensor
        /// `[N, Q, L, 2 or 4]`
        var references: Tensor
        /// `[N, S, C]`
        var memory: Tensor
    }

    typealias LayerPullback = (_ hiddenGradient: Tensor, _ gradients: inout Gradients) -> InputGradients

    /// - Parameters: as in ``callAsFunction(_:position:references:memory:)``.
    func withPullback(
        _ target: Tensor, position: Tensor, references: Tensor, memory: FeatureSequence, dropout: inout DropoutStream
    ) -> (hidden: Tensor, pullback: LayerPullback) {
        let (attended, selfPullback) = selfAttention.withPullback(
            query: target.adding(position), target: target, addingTo: target,
            weightDropout: dropout.attentionWeights(), outputDropout: dropout.output())
        let (normalized, query, norm2Pullback) = norm2.withPullback(attended, adding: position)
        let (crossed, crossPullback) = crossAttention.recorded(
            query: query, references: references, source: memory, dropout: dropout.output(), addingTo: normalized)
        let (settled, norm1Pullback) = norm1.withPullback(crossed)
        let (fed, feedForwardPullback) = feedForward.withPullback(
            settled, hiddenDropout: dropout.hidden(), outputDropout: dropout.output())
        let (hidden, norm3Pullback) = norm3.withPullback(fed)
        return (
            hidden,
            { hiddenGradient, gradients in
                let fedGradient = norm3Pullback(hiddenGradient, &gradients)
                let crossedGradient = norm1Pullback(feedForwardPullback(fedGradient, &gradients), &gradients)
                let ofCross = crossPullback(crossedGradient, &gradients)
                let attendedGradient = norm2Pullback(crossedGradient, ofCross.query, &gradients)
                let ofSelf = selfPullback(attendedGradient, &gradients)
                return InputGradients(
                    target: attendedGradient.adding(ofSelf.target).adding(ofSelf.query),
                    position: ofSelf.query.adding(ofCross.query), references: ofCross.references,
                    memory: ofCross.source)
            }
        )
    }
}
