import DeformableAttention
import Foundation
import Tensors

/// Reference points: where each query looks, in 0...1.
enum ReferencePoints {
    /// The encoder's: every location of every level looks at its own place in all levels. `[N, S, L, 2]`
    ///
    /// `(index + 0.5) / (valid ratio * extent)` in the image, times the valid ratio of each target level.
    ///
    /// - Source: `get_reference_points` in `models/deformable_transformer.py` of fundamentalvision/Deformable-DETR.
    static func ofLocations(in sequence: FeatureSequence) -> Tensor {
        let layout = sequence.layout
        let levels = layout.levels
        return Tensor([sequence.images, layout.count, levels, 2]) { output in
            var index = 0
            for image in 0..<sequence.images {
                let ratios = sequence.validRatios(image: image)
                for (level, size) in layout.sizes.enumerated() {
                    let height = ratios[level].height * Float(size.height)
                    let width = ratios[level].width * Float(size.width)
                    for row in 0..<size.height {
                        let y = (Float(row) + 0.5) / height
                        for column in 0..<size.width {
                            let x = (Float(column) + 0.5) / width
                            for ratio in ratios {
                                output[index] = x * ratio.width
                                output[index + 1] = y * ratio.height
                                index += 2
                            }
                        }
                    }
                }
            }
        }
    }

    /// The decoder's references, `[N, Q, 2]` points or `[N, Q, 4]` boxes of the image, in each padded level's coordinates:
    /// `[N, Q, L, 2 or 4]`.
    static func inLevels(_ references: Tensor, of sequence: FeatureSequence) -> Tensor {
        let (images, queries, width) = (references.shape[0], references.shape[1], references.shape[2])
        let levels = sequence.layout.levels
        return Tensor([images, queries, levels, width]) { output in
            references.withElements { references in
                var index = 0
                for image in 0..<images {
                    let ratios = sequence.validRatios(image: image)
                    for query in 0..<queries {
                        for ratio in ratios {
                            for coordinate in 0..<width {
                                let reference = references[(image * queries + query) * width + coordinate]
                                output[index] = reference * (coordinate % 2 == 0 ? ratio.width : ratio.height)
                                index += 1
                            }
                        }
                    }
                }
            }
        }
    }

    static func sigmoid(_ x: Float) -> Float { 1 / (1 + exp(-x)) }

    /// The inverse of the sigmoid, for 0 < x < 1.
    static func logit(_ x: Float) -> Float { log(x / (1 - x)) }

    /// The logit of `x` after clamping to 0...1, with at least 1e-5 in both terms.
    ///
    /// - Source: `inverse_sigmoid` in `util/misc.py` of fundamentalvision/Deformable-DETR.
    static func inverseSigmoid(_ x: Float) -> Float {
        let clamped = min(max(x, 0), 1)
        return log(max(clamped, 1e-5) / max(1 - clamped, 1e-5))
    }

    /// `sigmoid(deltas + inverse_sigmoid(references))`: with points, only the centre moves with the reference.
    ///
    /// - Parameters:
    ///   - references: `[..., 2 or 4]` in 0...1.
    ///   - deltas: a box head's output, `[..., 4]`.
    /// - Returns: boxes `[..., 4]`, cxcywh in 0...1.
    static func refine(_ references: Tensor, by deltas: Tensor) -> Tensor {
        let width = references.shape.last
        var boxes = deltas
        boxes.withMutableElements { boxes in
            references.withElements { references in
                for index in boxes.indices {
                    let coordinate = index % 4
                    let base = coordinate < width ? inverseSigmoid(references[index / 4 * width + coordinate]) : 0
                    boxes[index] = sigmoid(boxes[index] + base)
                }
            }
        }
        return boxes
    }

    /// `sigmoid(deltas + logits)`, `[..., 4]` each: the boxes of proposals that have logits already.
    static func moved(_ logits: Tensor, by deltas: Tensor) -> Tensor {
        precondition(logits.count == deltas.count, "\(deltas.shape) for proposals \(logits.shape)")
        return Tensor(deltas.shape) { boxes in
            logits.withElements { logits in
                deltas.withElements { deltas in
                    for index in boxes.indices { boxes[index] = sigmoid(deltas[index] + logits[index]) }
                }
            }
        }
    }
}
