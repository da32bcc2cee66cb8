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

    /// The weights in units of their steps, `[output channels, ...]`, for packing, which rounds them.
    let weight: StoredTensor

    /// - Parameters:
    ///   - weight: `[output channels, ...]`.
    ///   - bias: `[output channels]`.
    init(weight: StoredTensor, bias: Tensor?, input: Encoding) {
        inputStep = input.step
        // What is stored in steps stays as it is, unless a channel's weights are 0 or a file says strange things.
        let stored = weight.steps.flatMap { $0.allSatisfy { $0 >= .leastNormalMagnitude } ? $0 : nil }
        let steps = stored ?? Self.steps(of: weight())
        self.weight = stored == nil ? weight.inSteps(steps) : weight
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
}
