import Checkpoint
import Foundation
import Tensors

extension MultiScaleDeformableAttention {
    /// Parameters to start training from, by the names that the module's initialiser reads.
    ///
    /// Each head looks in a direction of its own, its points one pixel farther out each: the bias of `sampling_offsets` is
    /// `(cos t, sin t) / max(|cos t|, |sin t|) * (k + 1)` with `t = 2 pi m / M`, in every level. Its weight is zero, as are
    /// weight and bias of `attention_weights`, so that all samples count alike. `value_proj` and `output_proj` have weights
    /// spread evenly over `-b ... b`, `b = sqrt(6 / (C + C))` (Glorot), and no bias.
    ///
    /// - Parameters:
    ///   - width: C, shared evenly by the heads.
    ///   - points: K, for each head and level.
    /// - Throws: ``DeformableAttentionError/configuration(_:)`` for extents that no attention has.
    /// - Source: `_reset_parameters` in `models/ops/modules/ms_deform_attn.py`.
    public static func initialParameters(
        width: Int, heads: Int, levels: Int, points: Int, using generator: inout some RandomNumberGenerator
    ) throws -> TensorDictionary {
        try validate(width: width, heads: heads, levels: levels, points: points)
        let samples = heads * levels * points
        let offsets = (0..<heads).flatMap { head in
            let angle = 2 * Double.pi * Double(head) / Double(heads)
            let (x, y) = (cos(angle), sin(angle))
            let distance = max(abs(x), abs(y))
            return (0..<levels * points).flatMap { sample in
                let step = Double(sample % points + 1)
                return [Float(x / distance * step), Float(y / distance * step)]
            }
        }
        let bound = Float(3 / Double(width)).squareRoot()
        func projection() -> Tensor {
            Tensor([width, width]) { elements in
                for index in elements.indices { elements[index] = Float.random(in: -bound...bound, using: &generator) }
            }
        }
        return TensorDictionary([
            "sampling_offsets.weight": Tensor([2 * samples, width]),
            "sampling_offsets.bias": Tensor([2 * samples], offsets),
            "attention_weights.weight": Tensor([samples, width]),
            "attention_weights.bias": Tensor([samples]),
            "value_proj.weight": projection(),
            "value_proj.bias": Tensor([width]),
            "output_proj.weight": projection(),
            "output_proj.bias": Tensor([width]),
        ])
    }
}
