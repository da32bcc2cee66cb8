import DeformableAttention
import Tensors

extension ReferencePoints {
    /// The gradients of a sigmoid's input from those of its output y: `dy y (1 - y)`.
    static func gradientOfSigmoid(_ outputGradient: Tensor, output: Tensor) -> Tensor {
        precondition(outputGradient.shape == output.shape, "gradient \(outputGradient.shape) of \(output.shape)")
        return Tensor(output.shape) { result in
            outputGradient.withElements { outputGradient in
                output.withElements { output in
                    for index in result.indices {
                        result[index] = outputGradient[index] * output[index] * (1 - output[index])
                    }
                }
            }
        }
    }

    /// The derivative of ``inverseSigmoid(_:)``; a term that is clamped has none.
    private static func slopeOfInverseSigmoid(_ x: Float) -> Float {
        guard (0...1).contains(x) else { return 0 }
        return (x >= 1e-5 ? 1 / x : 0) + (1 - x >= 1e-5 ? 1 / (1 - x) : 0)
    }

    /// The backward of ``refine(_:by:)``.
    ///
    /// - Parameters:
    ///   - boxGradients: `[..., 4]`.
    ///   - boxes: what it gave, `[..., 4]`.
    ///   - references: what it was given, `[..., 2 or 4]`.
    static func gradientsOfRefinement(
        _ boxGradients: Tensor, boxes: Tensor, references: Tensor
    ) -> (deltas: Tensor, references: Tensor) {
        let width = references.shape.last
        let deltas = gradientOfSigmoid(boxGradients, output: boxes)
        let referenceGradients = Tensor(references.shape) { result in
            references.withElements { references in
                deltas.withElements { deltas in
                    for index in result.indices {
                        result[index] =
                            deltas[index / width * 4 + index % width] * slopeOfInverseSigmoid(references[index])
                    }
                }
            }
        }
        return (deltas, referenceGradients)
    }

    /// The backward of ``inLevels(_:of:)``: from `[N, Q, L, 2 or 4]` to `[N, Q, 2 or 4]`.
    static func gradientsOfInLevels(_ gradients: Tensor, of sequence: FeatureSequence) -> Tensor {
        let shape = gradients.shape
        precondition(
            shape.rank == 4 && shape[0] == sequence.images && shape[2] == sequence.layout.levels,
            "gradient \(shape) for \(sequence.layout.levels) levels")
        let (queries, width) = (shape[1], shape[3])
        var sums = Tensor([shape[0], queries, width])
        sums.withMutableElements { sums in
            gradients.withElements { gradients in
                var index = 0
                for image in 0..<shape[0] {
                    let ratios = sequence.validRatios(image: image)
                    for query in 0..<queries {
                        for ratio in ratios {
                            for coordinate in 0..<width {
                                sums[(image * queries + query) * width + coordinate] +=
                                    gradients[index] * (coordinate % 2 == 0 ? ratio.width : ratio.height)
                                index += 1
                            }
                        }
                    }
                }
            }
        }
        return sums
    }
}
