import CKernels
import Checkpoint
import Layers
import Tensors

/// A convolution of each channel with its own kernel, the same for all groups of channels, over 1, 2 or 3 axes.
///
/// `y[o, g, d] = b[d] + sum over taps t of w[d, t] x[o r + t - p, g, d]`, with step r, padding p = (k - r) / 2 and zeros outside
/// the map.
///
/// - Source: `torch.nn.Conv1d/2d/3d` with as many groups as channels; `to_offsets.0` of deformable-attention 0.0.20.
struct DepthwiseConvolution: Sendable {
    /// G
    let groups: Int
    /// D
    let groupWidth: Int
    /// k and r, one entry an axis.
    private let kernel: [Int]
    private let steps: [Int]
    /// `[taps, D]`: the checkpoint's `[D, 1, k...]` transposed, so that channels are contiguous.
    private let weight: Tensor
    private let bias: Tensor
    private let path: String

    /// Reads `weight`, `[D, 1, k...]`, and `bias`, `[D]`.
    init(_ cursor: WeightCursor, groups: Int, groupWidth: Int, kernel: [Int], steps: [Int]) throws {
        self.groups = groups
        self.groupWidth = groupWidth
        self.kernel = kernel
        self.steps = steps
        path = cursor.path
        weight = try cursor.tensor("weight", Shape([groupWidth, 1] + kernel))
            .reshaped([groupWidth, kernel.reduce(1, *)]).transposed()
        bias = try cursor.tensor("bias", [groupWidth])
    }

    /// - Parameter input: `[N, S, G * D]`.
    /// - Returns: `[N, P, G * D]`.
    func callAsFunction(_ input: Tensor, layout: GridLayout) -> Tensor {
        check(input, layout.positions, layout)
        let samples = layout.images * layout.samples
        var convolution = bridged(layout)
        return Tensor([layout.images, layout.samples, groups * groupWidth]) { output in
            guard let target = output.baseAddress else { return }
            withExtendedLifetime((input, weight, bias)) {
                withUnsafePointer(to: &convolution) { convolution in
                    Parallel.forRanges(samples, minimumPerThread: 8) { range in
                        depthwise_convolution_forward(
                            convolution, Int64(range.lowerBound), Int64(range.upperBound), input.pointer,
                            weight.pointer, bias.pointer, target)
                    }
                }
            }
        }
    }

    /// The transposed convolution for the input; for the weights the products of what each tap met, summed over images, groups
    /// and positions.
    func withPullback(_ input: Tensor, layout: GridLayout) -> (output: Tensor, pullback: Pullback) {
        (
            self(input, layout: layout),
            { outputGradient, gradients in
                check(outputGradient, layout.samples, layout)
                let weightGradient = weightGradient(input: input, outputGradient: outputGradient, layout: layout)
                gradients.add(
                    weightGradient.transposed().reshaped(Shape([groupWidth, 1] + kernel)), to: path + ".weight")
                let rows = outputGradient.count / groupWidth
                gradients.add(outputGradient.reshaped([rows, groupWidth]).columnSums(), to: path + ".bias")
                return inputGradient(outputGradient: outputGradient, layout: layout)
            }
        )
    }

    private func inputGradient(outputGradient: Tensor, layout: GridLayout) -> Tensor {
        var convolution = bridged(layout)
        return Tensor([layout.images, layout.positions, groups * groupWidth]) { gradient in
            guard let target = gradient.baseAddress else { return }
            withExtendedLifetime((outputGradient, weight)) {
                withUnsafePointer(to: &convolution) { convolution in
                    Parallel.forRanges(layout.images * layout.positions, minimumPerThread: 64) { range in
                        depthwise_convolution_input_gradient(
                            convolution, Int64(range.lowerBound), Int64(range.upperBound), outputGradient.pointer,
                            weight.pointer, target)
                    }
                }
            }
        }
    }

    /// `[taps, D]`
    private func weightGradient(input: Tensor, outputGradient: Tensor, layout: GridLayout) -> Tensor {
        var convolution = bridged(layout)
        return Tensor(weight.shape) { gradient in
            guard let target = gradient.baseAddress else { return }
            withExtendedLifetime((input, outputGradient)) {
                withUnsafePointer(to: &convolution) { convolution in
                    Parallel.forRanges(weight.shape[0]) { range in
                        depthwise_convolution_weight_gradient(
                            convolution, Int64(range.lowerBound), Int64(range.upperBound), input.pointer,
                            outputGradient.pointer, target)
                    }
                }
            }
        }
    }

    private func bridged(_ layout: GridLayout) -> depthwise_convolution {
        depthwise_convolution(
            images: Int64(layout.images), groups: Int64(groups), group_width: Int64(groupWidth),
            input_extents: Self.threeAxes(layout.inputExtents), output_extents: Self.threeAxes(layout.sampledExtents),
            kernel_extents: Self.threeAxes(kernel), steps: Self.threeAxes(steps),
            padding: Self.threeAxes(zip(kernel, steps).map { ($0 - $1) / 2 }, absent: 0))
    }

    /// One entry an axis as the kernel's three axes; outer axes that are absent have extent 1.
    private static func threeAxes(_ entries: [Int], absent: Int64 = 1) -> (Int64, Int64, Int64) {
        let all = Array(repeating: absent, count: 3 - entries.count) + entries.map(Int64.init)
        return (all[0], all[1], all[2])
    }

    private func check(_ tensor: Tensor, _ positions: Int, _ layout: GridLayout) {
        let expected = Shape([layout.images, positions, groups * groupWidth])
        precondition(tensor.shape == expected, "activations \(tensor.shape), expected \(expected)")
    }
}
