import Layers
import Tensors

extension LearnedQueries {
    /// The queries of a batch, and how their gradients flow back to the embedding and `reference_points`.
    func withPullback(
        images: Int
    ) -> (queries: ObjectQueries, pullback: (_ queryGradients: ObjectQueries, _ gradients: inout Gradients) -> Void) {
        let (logits, referencePullback) = referencePoints.withPullback(position)
        let queries = queries(images: images, references: logits)
        return (
            queries,
            { queryGradients, gradients in
                let logitGradient = ReferencePoints.gradientOfSigmoid(
                    queryGradients.references, output: queries.references
                ).sumOverImages()
                let positionGradient = queryGradients.position.sumOverImages()
                    .adding(referencePullback(logitGradient, &gradients))
                gradients.add(
                    .joiningColumns(positionGradient, queryGradients.target.sumOverImages()), to: embeddingName)
            }
        )
    }
}

extension Tensor {
    /// `[N, Q, C]` to `[Q, C]`.
    fileprivate func sumOverImages() -> Tensor {
        reshaped([shape[0], shape[1] * shape[2]]).columnSums().reshaped([shape[1], shape[2]])
    }

    /// The columns (indices of the last axis) of `first`, then those of `second`, for each of their equally many rows:
    /// `[rows, columns of both]`.
    static func joiningColumns(_ first: Tensor, _ second: Tensor) -> Tensor {
        let (left, right) = (first.shape.last, second.shape.last)
        let rows = first.count / max(1, left)
        precondition(rows * right == second.count, "cannot put \(second.shape) beside \(first.shape)")
        return Tensor([rows, left + right]) { output in
            first.withElements { first in
                second.withElements { second in
                    for row in 0..<rows {
                        let start = row * (left + right)
                        _ = output[start..<start + left].update(fromContentsOf: first[row * left..<(row + 1) * left])
                        _ = output[start + left..<start + left + right]
                            .update(fromContentsOf: second[row * right..<(row + 1) * right])
                    }
                }
            }
        }
    }
}
