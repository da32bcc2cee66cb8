import CKernels
import Layers
import Tensors

extension DeformableSampling {
    /// The gradients of a loss with respect to what is sampled and where.
    package struct InputGradients: Sendable {
        /// `[N, S, M * D]`
        package var value: Tensor
        /// `[N, Q, 3 * M * L * K]`: of the offsets, then of the logits.
        package var projections: Tensor
        /// `[N, Q, L, 2]` or `[N, Q, L, 4]`, like the references.
        package var references: Tensor
    }

    /// The samples, and how a gradient flows back through them.
    ///
    /// With dy the gradient of a head's output, A the attention weights and s_c the bilinear shares of a sample's corners v_c:
    /// - a corner's pixel gets `A s_c dy`; the attention weight `dA = sum over c of s_c (dy . v_c)`;
    /// - a logit `A (dA - sum over all samples of A dA)`, the softmax's gradient;
    /// - the location `A sum over c of (ds_c / dlocation) (dy . v_c)`, which offset and reference get times their factors.
    ///
    /// On a pixel's centre, where the interpolation has a kink, the location's gradient is the one towards the right and the
    /// bottom, as in PyTorch's `grid_sample`. Results do not depend on the number of threads.
    ///
    /// - Parameters: as in ``callAsFunction(value:layout:projections:references:)``.
    package func withPullback(
        value: Tensor, layout: LevelLayout, projections: Tensor, references: Tensor
    ) -> (output: Tensor, pullback: @Sendable (_ outputGradient: Tensor) -> InputGradients) {
        checkShapes(value: value, layout: layout, projections: projections, references: references)
        let value = arranged(value, projections)
        let output = sample(value, layout: layout, projections: projections, references: references)
        return (
            output,
            { [outputShape = output.shape] outputGradient in
                precondition(outputGradient.shape == outputShape, "gradient \(outputGradient.shape) of \(outputShape)")
                return gradients(
                    of: outputGradient, value: value, layout: layout, projections: projections, references: references)
            }
        )
    }

    /// Heads are what threads share out: no two touch the same channels, columns or shares of references.
    private func gradients(
        of outputGradient: Tensor, value: SampledValue, layout: LevelLayout, projections: Tensor, references: Tensor
    ) -> InputGradients {
        var valueGradient = Tensor(value.elements.shape)
        var projectionGradient = Tensor(uninitialized: projections.shape)
        var referenceShares = Tensor(
            uninitialized: Shape([references.shape[0], heads] + references.shape.dimensions.dropFirst()))
        valueGradient.withMutableElements { valueGradient in
            projectionGradient.withMutableElements { projectionGradient in
                referenceShares.withMutableElements { referenceShares in
                    guard let valueGradient = valueGradient.baseAddress,
                        let projectionGradient = projectionGradient.baseAddress,
                        let referenceShares = referenceShares.baseAddress
                    else { return }
                    withImages(of: value, layout: layout) { images in
                        let count = images.count
                        let gradients = (0..<count).map { image in
                            deformable_sampling_gradients(
                                output: outputGradient.pointer + image * (outputGradient.count / count),
                                value: valueGradient + image * (value.elements.count / count),
                                projections: projectionGradient + image * (projections.count / count),
                                references: referenceShares + image * (references.count / count) * heads)
                        }
                        let queries = (0..<count).map {
                            ImageQueries(projections: projections, references: references, image: $0).queries
                        }
                        withExtendedLifetime((outputGradient, projections, references)) {
                            Parallel.forRanges(count * heads) { range in
                                var index = range.lowerBound
                                while index < range.upperBound {
                                    let (image, head) = index.quotientAndRemainder(dividingBy: heads)
                                    let end = min(heads, head + range.upperBound - index)
                                    var (source, queries) = (images[image].source, queries[image])
                                    var shares = gradients[image]
                                    deformable_sampling_backward(&source, &queries, &shares, Int64(head), Int64(end))
                                    index += end - head
                                }
                            }
                        }
                    }
                }
            }
        }
        return InputGradients(
            value: value.joined(valueGradient), projections: projectionGradient,
            references: sumOverHeads(of: referenceShares, shape: references.shape))
    }

    /// `[N, M, Q, L, R]` to `[N, Q, L, R]`.
    private func sumOverHeads(of shares: Tensor, shape: Shape) -> Tensor {
        var sums = Tensor(shape)
        let images = shape[0]
        sums.withMutableElements { sums in
            guard let sums = sums.baseAddress else { return }
            withExtendedLifetime(shares) {
                Parallel.forRanges(images) { range in
                    let width = shape.count / images
                    for image in range {
                        rows_add_column_sums(
                            Int64(heads), Int64(width), shares.pointer + image * heads * width, sums + image * width)
                    }
                }
            }
        }
        return sums
    }
}
