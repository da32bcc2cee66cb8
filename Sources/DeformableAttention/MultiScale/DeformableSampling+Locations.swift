import Foundation
import Layers
import Tensors

/// Where a deformable attention looks, and how much each place counts: what its figures show.
package struct SamplingLocations: Sendable {
    /// `[N, Q, M, L, K, (x, y)]` in 0...1 of each padded level, from the outer edge of its first pixel to that of its last; may lie
    /// outside, where nothing is sampled.
    package let locations: Tensor
    /// The attention weights, `[N, Q, M, L, K]`; those of a head sum to 1 over all its levels and points.
    package let weights: Tensor
}

extension DeformableSampling {
    /// The locations and weights that ``callAsFunction(value:layout:projections:references:)`` samples with.
    ///
    /// For a level whose extent is W x H, by reference points: `location = (x + offset_x / W, y + offset_y / H)`; by boxes:
    /// `(cx + offset_x / K * w / 2, cy + offset_y / K * h / 2)`. A sample's place in pixels is `location * (W, H) - 0.5`.
    ///
    /// The sampler computes them on its way and keeps none; this is for looking at them.
    ///
    /// - Parameters:
    ///   - layout: the levels that are sampled.
    ///   - projections: `[N, Q, 3 * M * L * K]`: offsets `[M, L, K, (x, y)]`, then logits `[M, L * K]`.
    ///   - references: `[N, Q, L, 2]` points or `[N, Q, L, 4]` boxes, in 0...1 of each padded level.
    /// - Returns: NaN and infinity in the operands stay what they are.
    ///
    /// - Source: `models/ops/modules/ms_deform_attn.py` of fundamentalvision/Deformable-DETR.
    package func locations(layout: LevelLayout, projections: Tensor, references: Tensor) -> SamplingLocations {
        checkShapes(layout: layout, projections: projections, references: references)
        let (images, queries, levels) = (projections.shape[0], projections.shape[1], layout.levels)
        let samples = levels * points
        let referenceWidth = references.shape[3]
        let shape = [images, queries, heads, levels, points]
        let projected = projections.elements
        let centers = references.elements

        let locations = Tensor(Shape(shape + [2])) { output in
            var index = 0
            for query in 0..<images * queries {
                for head in 0..<heads {
                    for (level, size) in layout.sizes.enumerated() {
                        let reference = (query * levels + level) * referenceWidth
                        // How far an offset of 1 leads.
                        let step =
                            referenceWidth == 2
                            ? (x: 1 / Float(size.width), y: 1 / Float(size.height))
                            : (
                                x: centers[reference + 2] * 0.5 / Float(points),
                                y: centers[reference + 3] * 0.5 / Float(points)
                            )
                        for point in 0..<points {
                            let offset = query * 3 * heads * samples + (head * samples + level * points + point) * 2
                            output[index] = centers[reference] + projected[offset] * step.x
                            output[index + 1] = centers[reference + 1] + projected[offset + 1] * step.y
                            index += 2
                        }
                    }
                }
            }
        }
        let weights = Tensor(Shape(shape)) { output in
            for row in 0..<images * queries * heads {
                let (query, head) = (row / heads, row % heads)
                let start = query * 3 * heads * samples + 2 * heads * samples + head * samples
                let logits = projected[start..<start + samples]
                let largest = logits.max() ?? 0
                let powers = logits.map { exp($0 - largest) }
                let total = powers.reduce(0, +)
                for (sample, power) in powers.enumerated() { output[row * samples + sample] = power / total }
            }
        }
        return SamplingLocations(locations: locations, weights: weights)
    }
}

extension MultiScaleDeformableAttention {
    /// Where ``callAsFunction(query:references:source:addingTo:)`` looks for the same query and references.
    ///
    /// - Parameters:
    ///   - query: `[N, Q, C]`, features plus positions.
    ///   - references: `[N, Q, L, 2]` points or `[N, Q, L, 4]` boxes, in 0...1 of each padded level.
    ///   - layout: the levels that are sampled.
    package func locations(query: Tensor, references: Tensor, layout: LevelLayout) -> SamplingLocations {
        sampling.locations(layout: layout, projections: projection(query), references: references)
    }
}
