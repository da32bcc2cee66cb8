import Checkpoint
import Tensors

/// How a layer multiplies whole numbers: what its sums of products count.
package struct Quantization: Sendable {
    /// Of an input's whole number.
    let inputStep: Float
    /// Of the weights' whole numbers, by output channel.
    let weightSteps: [Float]
    /// The bias in units of the sums.
    let bias: Tensor?

    /// - Parameters:
    ///   - weight: `[output channels, ...]`.
    ///   - bias: `[output channels]`.
    init(weight: Tensor, bias: Tensor?, input: Encoding) {
        inputStep = input.step
        let steps = Self.steps(of: weight)
        weightSteps = steps
        self.bias = bias.map { bias in
            Tensor(bias.shape, zip(bias.elements, steps).map { $0 / (input.step * $1) })
        }
    }

    /// The steps that make whole numbers of -127...127 of each output channel's weights.
    package static func steps(of weight: Tensor) -> [Float] {
        let rows = weight.shape[0]
        let width = weight.count / max(1, rows)
        return weight.withElements { elements in
            (0..<rows).map { row in
                let largest = elements[row * width..<(row + 1) * width].reduce(0) { max($0, abs($1)) }
                return max(largest, .leastNormalMagnitude * 128) / 127
            }
        }
    }

    /// What the sums of each output channel are multiplied by for a result.
    func scales(into result: Encoding) -> [Float] { weightSteps.map { inputStep * $0 / result.step } }

    /// Weights in units of their steps, for packing, which rounds them.
    func inSteps(_ weight: StoredTensor) -> StoredTensor {
        StoredTensor(shape: weight.shape) { [weightSteps] in
            var scaled = weight()
            scaled.scaleRows(by: weightSteps.map { 1 / Double($0) })
            return scaled
        }
    }
}
