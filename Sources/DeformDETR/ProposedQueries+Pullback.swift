import DeformableAttention
import Layers
import Tensors

extension ProposedQueries {
    /// From the gradients of queries and of all proposals to the memory's, `[N, S, C]`.
    typealias Pullback = (
        _ queryGradients: ObjectQueries, _ proposalGradients: Predictions, _ gradients: inout Gradients
    ) -> Tensor

    /// The queries, what the encoder's head says about every location, and how gradients flow back.
    ///
    /// The chosen boxes become references and position encodings as numbers: the gradients of queries reach `pos_trans` and
    /// `pos_trans_norm` only. The head, `enc_output` and the memory learn from the proposals.
    ///
    /// - Parameters: as in ``callAsFunction(_:paddingRule:)``.
    /// - Throws: as there.
    /// - Source: `topk_coords_unact.detach()` in `DeformableTransformer.forward` of `models/deformable_transformer.py`,
    ///   fundamentalvision/Deformable-DETR.
    func withPullback(
        _ memory: FeatureSequence, paddingRule: ImageBatch.PaddingRule
    ) throws -> (queries: ObjectQueries, proposals: Predictions, pullback: Pullback) {
        let proposals = Proposals(of: memory)
        let (encoded, outputPullback) = output.withPullback(proposals.masking(memory.values))
        let (normalized, outputNormPullback) = outputNorm.withPullback(encoded)
        let (logits, classPullback) = head.classes.withPullback(normalized)
        let (deltas, boxPullback) = head.boxes.withPullback(normalized)
        let boxes = ReferencePoints.moved(proposals.logits, by: deltas)

        let rows = try bestRows(logits: logits, memory: memory, paddingRule: paddingRule)
        let chosen = boxes.gatheringRows(rows)
        let (embedded, positionPullback) = position.withPullback(
            PositionEncoding.boxes(chosen, modelWidth: memory.values.shape[2]))
        let (embedding, positionNormPullback) = positionNorm.withPullback(embedded)
        return (
            queries(embedding: embedding, boxes: chosen, images: memory.images),
            Predictions(logits: logits, boxes: boxes),
            { queryGradients, proposalGradients, gradients in
                let embeddingGradient = Tensor.joiningColumns(queryGradients.position, queryGradients.target)
                _ = positionPullback(positionNormPullback(embeddingGradient, &gradients), &gradients)

                let deltaGradient = ReferencePoints.gradientOfSigmoid(proposalGradients.boxes, output: boxes)
                let normalizedGradient = classPullback(proposalGradients.logits, &gradients)
                    .adding(boxPullback(deltaGradient, &gradients))
                let encodedGradient = outputNormPullback(normalizedGradient, &gradients)
                return proposals.masking(outputPullback(encodedGradient, &gradients))
            }
        )
    }
}
