import Checkpoint
import Tensors

/// Linear layers with ReLU between them: the box head.
///
/// - Source: `models/deformable_detr.py`, class `MLP`, of fundamentalvision/Deformable-DETR.
public struct MultiLayerPerceptron: Sendable {
    let layers: [Linear]

    /// Reads `layers.0`, `layers.1`, ...
    ///
    /// - Parameter widths: of the input, of each hidden layer, of the output.
    public init(_ cursor: WeightCursor, widths: [Int]) throws {
        layers = try zip(widths, widths.dropFirst()).enumerated().map { index, pair in
            try Linear(cursor["layers"][index], inputWidth: pair.0, outputWidth: pair.1)
        }
    }

    /// `[..., first width]` to `[..., last width]`.
    public func callAsFunction(_ input: Tensor) -> Tensor {
        layers.enumerated().reduce(input) { value, layer in
            layer.element(value, activation: layer.offset + 1 < layers.count ? .relu : .none)
        }
    }
}
