import Backbone
import DeformableAttention
import Layers
import Tensors

extension DeformableDETR {
    /// What every layer says about a batch, and how a loss's gradient flows back to all parameters.
    ///
    /// Gradients go by the parameters' canonical names. The pullback lets go of what it no longer needs as it goes, so it can
    /// be called once only.
    ///
    /// - Parameters:
    ///   - batch: `[N, H, W, 3]` with its padding, under either rule.
    ///   - options: dropout, what fixes it, and which parameters train.
    ///   - statistics: gets the new running statistics of every BatchNorm that is not frozen.
    /// - Returns: the output, and a function from the gradients with respect to it. Where the output has proposals, so must
    ///   they.
    /// - Precondition: the model does not compute in int8.
    /// - Throws: ``DetectorError`` when a two-stage model finds fewer locations in an image than it has queries.
    public func withPullback(
        _ batch: ImageBatch, options: TrainingOptions, updating statistics: inout BatchStatistics
    ) throws -> (
        output: TrainingOutput,
        pullback: (_ outputGradients: TrainingOutput, _ gradients: inout Gradients) -> Void
    ) {
        precondition(precision != .int8, "a model in int8 cannot train")
        let (features, backbonePullback) = features(of: batch, options: options, updating: &statistics)
        let (output, transformerPullback) = try predict(from: features, of: batch, options: options)
        return (
            output,
            { outputGradients, gradients in
                backbonePullback(transformerPullback(outputGradients, &gradients), &gradients)
            }
        )
    }

    /// The first part of a training step: the backbone's maps, and how their gradients flow back.
    package func features(
        of batch: ImageBatch, options: TrainingOptions, updating statistics: inout BatchStatistics
    ) -> (features: [FeatureMap], pullback: ResNet.Pullback) {
        backbone.withPullback(
            batch.backboneInput, taps: configuration.featureTaps, wanting: options.isTrained, updating: &statistics)
    }

    /// The second part of a training step: everything above the backbone. The pullback gives the gradients of the maps.
    package func predict(
        from features: [FeatureMap], of batch: ImageBatch, options: TrainingOptions
    ) throws -> (
        output: TrainingOutput, pullback: (_ outputGradients: TrainingOutput, _ gradients: inout Gradients) -> [Tensor]
    ) {
        let (sequence, projectionPullback) = inputProjection.withPullback(features, of: batch)
        let (output, transformerPullback) = try predict(
            from: sequence, paddingRule: batch.paddingRule, options: options)
        return (
            output,
            { outputGradients, gradients in
                projectionPullback(transformerPullback(outputGradients, &gradients), &gradients)
            }
        )
    }

    /// From the gradients of the output to those of the projected features, `[N, S, C]`.
    typealias TransformerPullback = (_ outputGradients: TrainingOutput, _ gradients: inout Gradients) -> Tensor

    /// Everything above the backbone and its projections.
    ///
    /// - Parameter features: `[N, S, C]`.
    func predict(
        from features: FeatureSequence, paddingRule: ImageBatch.PaddingRule, options: TrainingOptions
    ) throws -> (output: TrainingOutput, pullback: TransformerPullback) {
        var dropout = DropoutStream(options)
        let position = PositionEncoding.sequence(
            layout: features.layout, validSizes: features.validSizes, levelEmbedding: levelEmbedding)
        let (memory, encoderPullback) = encoder.withPullback(features, position: position, dropout: &dropout)
        let (start, proposals, startPullback) = try objectQueries(from: memory, paddingRule: paddingRule)
        let (predictions, decoderPullback) = decoder.withPullback(
            start, memory: memory, heads: heads, dropout: &dropout)
        return (
            TrainingOutput(layers: predictions, proposals: proposals),
            { [layout = features.layout] outputGradients, gradients in
                let ofDecoder = decoderPullback(outputGradients.layers, &gradients)
                let ofStart = startPullback(ofDecoder.queries, outputGradients.proposals, &gradients)
                let memoryGradient = ofStart.map(ofDecoder.memory.adding) ?? ofDecoder.memory
                let ofEncoder = encoderPullback(memoryGradient, &gradients)
                gradients.add(
                    PositionEncoding.levelEmbeddingGradient(from: ofEncoder.position, layout: layout),
                    to: levelEmbeddingName)
                return ofEncoder.features
            }
        )
    }

    /// From the gradients of queries, and of proposals where there are some, to the memory's; nil for zero.
    private typealias StartPullback = (
        _ queryGradients: ObjectQueries, _ proposalGradients: Predictions?, _ gradients: inout Gradients
    ) -> Tensor?

    /// Where the decoder starts.
    private func objectQueries(
        from memory: FeatureSequence, paddingRule: ImageBatch.PaddingRule
    ) throws -> (queries: ObjectQueries, proposals: Predictions?, pullback: StartPullback) {
        switch queries {
        case .learned(let learned):
            let (queries, pullback) = learned.withPullback(images: memory.images)
            return (
                queries, nil,
                { queryGradients, _, gradients in
                    pullback(queryGradients, &gradients)
                    return nil
                }
            )
        case .proposed(let proposed):
            let (queries, proposals, pullback) = try proposed.withPullback(memory, paddingRule: paddingRule)
            return (
                queries, proposals,
                { queryGradients, proposalGradients, gradients in
                    guard let proposalGradients else {
                        preconditionFailure("a two-stage model's output gradients lack the proposals'")
                    }
                    return pullback(queryGradients, proposalGradients, &gradients)
                }
            )
        }
    }
}

extension PositionEncoding {
    /// The backward of ``sequence(layout:validSizes:levelEmbedding:)``: from `[N, S, C]` to the embedding's `[L, C]`.
    static func levelEmbeddingGradient(from gradient: Tensor, layout: LevelLayout) -> Tensor {
        let (images, channels) = (gradient.shape[0], gradient.shape[2])
        let rows = gradient.reshaped([images * layout.count, channels])
        return Tensor([layout.levels, channels]) { sums in
            for level in 0..<layout.levels {
                let range = layout.range(of: level)
                let total = (0..<images).map { image in
                    let start = image * layout.count
                    return rows.rows(start + range.lowerBound..<start + range.upperBound).columnSums()
                }.reduce(Tensor([channels])) { $0.adding($1) }
                total.withElements {
                    _ = sums[level * channels..<(level + 1) * channels].update(fromContentsOf: $0)
                }
            }
        }
    }
}
