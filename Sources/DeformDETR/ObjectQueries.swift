import Checkpoint
import DeformableAttention
import Layers
import Tensors

/// The decoder's input, or the gradients of a loss with respect to it.
struct ObjectQueries: Sendable {
    /// What the queries start from, `[N, Q, C]`.
    let target: Tensor
    /// Their position encodings, `[N, Q, C]`.
    let position: Tensor
    /// `[N, Q, 2]` points or `[N, Q, 4]` boxes in 0...1 of the image.
    let references: Tensor
}

/// Learned object queries: the same for every image.
///
/// - Source: `DeformableTransformer.forward`, the branch that is not two-stage.
struct LearnedQueries: Sendable {
    /// `[Q, C]`
    let position: Tensor
    /// `[Q, C]`
    let target: Tensor
    let referencePoints: Linear
    /// The checkpoint's name of positions and targets side by side, `[Q, 2 C]`.
    let embeddingName: String

    /// Reads `query_embed.weight` and `transformer.reference_points` under `cursor`.
    init(_ cursor: WeightCursor, configuration: Configuration) throws {
        let width = configuration.modelWidth
        let embedding = try cursor["query_embed"].tensor("weight", [configuration.queries, 2 * width])
        embeddingName = cursor["query_embed"].path + ".weight"
        position = embedding.columns(0..<width)
        target = embedding.columns(width..<2 * width)
        referencePoints = try Linear(
            cursor["transformer"]["reference_points"], inputWidth: width, outputWidth: 2)
    }

    func callAsFunction(images: Int) -> ObjectQueries {
        queries(images: images, references: referencePoints(position))
    }

    /// - Parameter references: the logits of reference points, `[Q, 2]`.
    func queries(images: Int, references: consuming Tensor) -> ObjectQueries {
        references.withMutableElements { for index in $0.indices { $0[index] = ReferencePoints.sigmoid($0[index]) } }
        func repeated(_ tensor: Tensor) -> Tensor {
            Tensor(Shape([images] + tensor.shape.dimensions)) { output in
                tensor.withElements { one in
                    for image in 0..<images {
                        _ = output[image * one.count..<(image + 1) * one.count].update(fromContentsOf: one)
                    }
                }
            }
        }
        return ObjectQueries(
            target: repeated(target), position: repeated(position), references: repeated(references))
    }
}
