import Checkpoint
import Layers
import Tensors

/// What turns hidden states into class logits and boxes.
///
/// - Source: `class_embed` and `bbox_embed` in `models/deformable_detr.py` of fundamentalvision/Deformable-DETR.
struct PredictionHead: Sendable {
    let classes: Linear
    /// The logits of boxes, relative to those of their references.
    let boxes: MultiLayerPerceptron

    /// Reads `class_embed.index` and `bbox_embed.index` under `cursor`.
    init(_ cursor: WeightCursor, index: Int, configuration: Configuration) throws {
        let width = configuration.modelWidth
        classes = try Linear(
            cursor["class_embed"][index], inputWidth: width, outputWidth: configuration.classes)
        boxes = try MultiLayerPerceptron(cursor["bbox_embed"][index], widths: [width, width, width, 4])
    }

    /// - Parameters:
    ///   - hidden: `[N, Q, C]`.
    ///   - references: `[N, Q, 2]` points or `[N, Q, 4]` boxes, in 0...1.
    func callAsFunction(_ hidden: Tensor, references: Tensor) -> Predictions {
        Predictions(logits: classes(hidden), boxes: ReferencePoints.refine(references, by: boxes(hidden)))
    }

    /// From the gradients of predictions to those of hidden states and references.
    typealias Pullback = (
        _ predictionGradients: Predictions, _ gradients: inout Gradients
    ) -> (hidden: Tensor, references: Tensor)

    /// The predictions, and how gradients flow back through the heads.
    func withPullback(_ hidden: Tensor, references: Tensor) -> (predictions: Predictions, pullback: Pullback) {
        let (logits, classPullback) = classes.withPullback(hidden)
        let (deltas, boxPullback) = boxes.withPullback(hidden)
        let boxes = ReferencePoints.refine(references, by: deltas)
        return (
            Predictions(logits: logits, boxes: boxes),
            { predictionGradients, gradients in
                let boxGradients = ReferencePoints.gradientsOfRefinement(
                    predictionGradients.boxes, boxes: boxes, references: references)
                let hiddenGradient = classPullback(predictionGradients.logits, &gradients)
                    .adding(boxPullback(boxGradients.deltas, &gradients))
                return (hidden: hiddenGradient, references: boxGradients.references)
            }
        )
    }
}
