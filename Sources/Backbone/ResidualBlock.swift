import Checkpoint
import Layers
import Tensors

/// One residual block, basic (two 3x3) or bottleneck (1x1, 3x3, 1x1): `relu(convolutions(x) + shortcut(x))`.
struct ResidualBlock: Sendable {
    /// All but the last are followed by a ReLU of their own.
    private let convolutions: [Conv2D]
    private let last: Conv2D
    /// A 1x1 convolution where the shortcut changes size or channels.
    private let downsample: Conv2D?

    /// Reads `conv1`, `bn1`, `conv2`, ... and, if the shortcut projects, `downsample.0` and `downsample.1`.
    init(
        _ cursor: WeightCursor, kind: ResNetConfiguration.Block, inputChannels: Int, width: Int, outputChannels: Int,
        stride: Int, dilation: Int, projectsInput: Bool
    ) throws {
        func convolution(_ index: Int, _ input: Int, _ output: Int, _ geometry: Conv2D.Geometry) throws -> Conv2D {
            try Conv2D(
                folding: cursor["bn\(index)"], into: cursor["conv\(index)"], inputChannels: input,
                outputChannels: output, geometry: geometry)
        }
        let point = Conv2D.Geometry(kernel: 1)
        let spatial = Conv2D.Geometry(kernel: 3, stride: stride, padding: dilation, dilation: dilation)
        switch kind {
        case .basic:
            convolutions = [try convolution(1, inputChannels, width, spatial)]
            last = try convolution(
                2, width, outputChannels, Conv2D.Geometry(kernel: 3, padding: dilation, dilation: dilation))
        case .bottleneck:
            convolutions = [
                try convolution(1, inputChannels, width, point), try convolution(2, width, width, spatial),
            ]
            last = try convolution(3, width, outputChannels, point)
        }
        if projectsInput {
            let shortcut = cursor["downsample"]
            downsample = try Conv2D(
                folding: shortcut[1], into: shortcut[0], inputChannels: inputChannels, outputChannels: outputChannels,
                geometry: Conv2D.Geometry(kernel: 1, stride: stride))
        } else {
            downsample = nil
        }
    }

    func callAsFunction(_ input: consuming FeatureMap) -> FeatureMap {
        var hidden = convolutions[0](copy input, activation: .relu)
        for convolution in convolutions.dropFirst() { hidden = convolution(hidden, activation: .relu) }
        // Without a downsampling shortcut the sum is formed in the input's own memory.
        let shortcut: Tensor
        if let downsample {
            shortcut = downsample(input).values
        } else {
            shortcut = (consume input).values
        }
        return last(hidden, activation: .relu, addingTo: consume shortcut)
    }
}
