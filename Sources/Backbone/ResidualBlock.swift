import Checkpoint
import Layers
import Tensors

/// One residual block, basic (two 3x3) or bottleneck (1x1, 3x3, 1x1): `relu(convolutions(x) + shortcut(x))`.
struct ResidualBlock: Sendable {
    /// All but the last are followed by a ReLU of their own.
    private let convolutions: [NormalizedConvolution]
    private let last: NormalizedConvolution
    /// A 1x1 convolution where the shortcut changes size or channels.
    private let downsample: NormalizedConvolution?
    /// How the shortcut lies in memory if it is projected.
    private let shortcut: Encoding
    /// Notes the range of the projected shortcut; nil but in a calibration.
    private let shortcutObserver: ActivationObserver?

    /// Reads `conv1`, `bn1`, `conv2`, ... and, if the shortcut projects, `downsample.0` and `downsample.1`.
    init(
        _ cursor: WeightCursor, kind: ResNetConfiguration.Block, inputChannels: Int, width: Int, outputChannels: Int,
        stride: Int, dilation: Int, projectsInput: Bool, normalization: Normalization, precision: ComputePrecision
    ) throws {
        func convolution(
            _ index: Int, _ input: Int, _ output: Int, _ geometry: Conv2D.Geometry
        ) throws -> NormalizedConvolution {
            try NormalizedConvolution(
                cursor["conv\(index)"], norm: cursor["bn\(index)"], inputChannels: input, outputChannels: output,
                geometry: geometry, normalization: normalization, precision: precision)
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
            downsample = try NormalizedConvolution(
                shortcut[0], norm: shortcut[1], inputChannels: inputChannels, outputChannels: outputChannels,
                geometry: Conv2D.Geometry(kernel: 1, stride: stride), normalization: normalization,
                precision: precision)
            self.shortcut =
                precision.native == .int8
                ? try Encoding(range: shortcut[0], Self.shortcutRangeName) : precision.withoutInt8.encoding
            shortcutObserver = ActivationRanges.observer(shortcut[0].name(of: Self.shortcutRangeName))
        } else {
            downsample = nil
            shortcut = precision.withoutInt8.encoding
            shortcutObserver = nil
        }
    }

    /// The parameters that can be trained, by their names in the checkpoint.
    var parameterNames: [String] {
        (convolutions + [last]).flatMap(\.parameterNames) + (downsample?.parameterNames ?? [])
    }

    /// What weights' files call the range of a projected shortcut.
    static let shortcutRangeName = "output_range"

    /// How its input lies in memory.
    var input: Encoding { convolutions[0].input }

    /// Inference.
    ///
    /// - Parameters:
    ///   - input: in the encoding ``input``.
    ///   - result: how the output is to lie in memory.
    func callAsFunction(_ input: consuming FactorMap, result: Encoding) -> FactorMap {
        var hidden = copy input
        for (index, convolution) in convolutions.enumerated() {
            let next = index + 1 < convolutions.count ? convolutions[index + 1] : last
            hidden = convolution(hidden, result: next.input, activation: .relu)
        }
        // Without a downsampling shortcut the sum is formed in the input's own memory.
        let shortcut: Factor
        if let downsample {
            shortcut = downsample(input, result: self.shortcut).values
            shortcutObserver?.observe(shortcut)
        } else {
            shortcut = (consume input).values
        }
        return last(hidden, result: result, activation: .relu, addingTo: consume shortcut)
    }

    /// Training.
    func withPullback(
        _ input: FeatureMap, updating statistics: inout BatchStatistics
    ) -> (output: FeatureMap, pullback: Pullback) {
        var hidden = input
        var main: [NormalizedConvolution.Pullback] = []
        for convolution in convolutions {
            let (output, pullback) = convolution.withPullback(hidden, activation: .relu, updating: &statistics)
            hidden = output
            main.append(pullback)
        }
        let shortcut = downsample.map { $0.withPullback(input, updating: &statistics) }
        let (output, pullback) = last.withPullback(
            hidden, activation: .relu, addingTo: shortcut?.output.values ?? input.values, updating: &statistics)
        return (output, Pullback(main: main, last: pullback, shortcut: shortcut?.pullback))
    }

    /// The way back through a block.
    struct Pullback {
        /// Of the convolutions before the last.
        fileprivate let main: [NormalizedConvolution.Pullback]
        fileprivate let last: NormalizedConvolution.Pullback
        /// Of the convolution in the shortcut.
        fileprivate let shortcut: NormalizedConvolution.Pullback?

        /// Adds the gradients of the parameters, which asks for those of all inputs but the block's own.
        ///
        /// - Parameter wantsInput: whether anything below trains.
        /// - Returns: the gradient of the block's input if it is wanted, from that of its output.
        func callAsFunction(
            _ outputGradient: Tensor, wantsInput: Bool, _ gradients: inout Gradients
        ) -> Tensor? {
            var (gradient, shortcutGradient) = last.addParameterGradients(of: outputGradient, to: &gradients)
            var above = last
            for convolution in main.reversed() {
                gradient =
                    convolution.addParameterGradients(
                        of: above.inputGradient(of: gradient), to: &gradients
                    ).convolution
                above = convolution
            }
            if let shortcut {
                let projected = shortcut.addParameterGradients(of: shortcutGradient, to: &gradients).convolution
                guard wantsInput else { return nil }
                shortcutGradient = shortcut.inputGradient(of: projected)
            }
            guard wantsInput else { return nil }
            return above.inputGradient(of: gradient, addingTo: consume shortcutGradient)
        }
    }
}
