import Checkpoint
import Layers
import Tensors

/// What the BatchNorms of a network do.
public enum Normalization: Sendable, Hashable {
    /// They apply their running statistics and are folded into the convolutions before them: inference, and the published
    /// training. Their parameters get no gradients.
    case frozen
    /// They train, by the statistics of each batch: for networks that start from nothing.
    case batch
}

/// A convolution without bias and the BatchNorm behind it, with the residual sum and the ReLU that follow.
struct NormalizedConvolution: Sendable {
    private let convolution: Conv2D
    /// Nil where it is folded into the convolution.
    private let norm: BatchNorm?
    /// The parameters that can be trained, by their names in the checkpoint.
    let parameterNames: [String]

    /// A frozen norm makes one convolution of the two: `y = (conv(x) - mean) / sqrt(variance + 1e-5) * weight + bias`, the
    /// factor in the kernel, the rest as its bias.
    ///
    /// - Source: `FrozenBatchNorm2d` in `models/backbone.py` of fundamentalvision/Deformable-DETR.
    /// - Parameters:
    ///   - cursor: has `weight`.
    ///   - norm: has `weight`, `bias`, `running_mean` and `running_var`, `[output channels]` each.
    init(
        _ cursor: WeightCursor, norm: WeightCursor, inputChannels: Int, outputChannels: Int, geometry: Conv2D.Geometry,
        normalization: Normalization, precision: ComputePrecision
    ) throws {
        let batchNorm = try BatchNorm(norm, channels: outputChannels)
        switch normalization {
        case .frozen:
            let (scale, shift) = batchNorm.linearMap
            convolution = try Conv2D(
                cursor, inputChannels: inputChannels, geometry: geometry, scale: scale, shift: shift,
                precision: precision)
            self.norm = nil
            parameterNames = [cursor.path + ".weight"]
        case .batch:
            convolution = try Conv2D(
                cursor, inputChannels: inputChannels, outputChannels: outputChannels, geometry: geometry,
                hasBias: false, precision: precision)
            self.norm = batchNorm
            parameterNames = [cursor.path + ".weight", norm.path + ".weight", norm.path + ".bias"]
        }
    }

    /// Inference: norms apply their running statistics.
    func callAsFunction(
        _ input: consuming FactorMap, result: Encoding, activation: Activation = .none,
        addingTo residual: consuming Factor? = nil
    ) -> FactorMap {
        guard let norm else {
            return convolution(input, result: result, activation: activation, addingTo: residual)
        }
        let map = convolution(input, result: .float32)
        let values = norm(map.values.tensor, activation: activation, addingTo: residual?.tensor)
        return FactorMap(values: Factor(values, encoding: result), validSizes: map.validSizes)
    }

    /// How its input lies in memory.
    var input: Encoding { convolution.input }

    /// Training: as the ``Normalization`` says, and how a gradient flows back.
    func withPullback(
        _ input: consuming FeatureMap, activation: Activation = .none, addingTo residual: consuming Tensor? = nil,
        updating statistics: inout BatchStatistics
    ) -> (output: FeatureMap, pullback: Pullback) {
        if convolution.geometry.kernel > 1 { input.clearPadding() }
        convolution.prepareForPullback()
        let factor = Factor(input.values, precision: convolution.precision)
        let (inputSizes, outputSizes) = (input.validSizes, convolution.outputSizes(of: input.validSizes))
        let output: FeatureMap
        let convolutionGradient: Pullback.ConvolutionGradient
        if let norm {
            (output, convolutionGradient) = norm.withPullback(
                FeatureMap(values: convolution(factor), validSizes: outputSizes), activation: activation,
                addingTo: residual, updating: &statistics)
        } else {
            let values = convolution(factor, activation: activation, addingTo: residual)
            output = FeatureMap(values: values, validSizes: outputSizes)
            let mask = ReLUMask(of: values, activation: activation)
            convolutionGradient = { outputGradient, _ in
                let gradient = mask?.gradient(of: outputGradient) ?? outputGradient
                return (gradient, gradient)
            }
        }
        return (
            output,
            Pullback(
                convolution: convolution, input: factor, inputSizes: inputSizes,
                convolutionGradient: convolutionGradient)
        )
    }

    /// The way back through a normalised convolution, in two steps: what a block's lowest layers get as input may not matter.
    struct Pullback {
        typealias ConvolutionGradient = (_ outputGradient: Tensor, _ gradients: inout Gradients) -> (
            input: Tensor, residual: Tensor
        )

        fileprivate let convolution: Conv2D
        fileprivate let input: Factor
        fileprivate let inputSizes: [ValidSize]
        fileprivate let convolutionGradient: ConvolutionGradient

        /// Adds the gradients of the parameters.
        ///
        /// - Returns: the gradients of what the convolution gave and of the residual, from that of the output.
        func addParameterGradients(
            of outputGradient: Tensor, to gradients: inout Gradients
        ) -> (convolution: Factor, residual: Tensor) {
            let (gradient, residual) = convolutionGradient(outputGradient, &gradients)
            return (convolution.addParameterGradients(of: gradient, input: input, to: &gradients), residual)
        }

        /// The gradient of the input, 0 in its padding.
        ///
        /// - Parameters:
        ///   - gradient: of what the convolution gave.
        ///   - other: a gradient that reaches the input on another way and is added.
        func inputGradient(of gradient: Factor, addingTo other: consuming Tensor? = nil) -> Tensor {
            let result = convolution.inputGradient(
                of: gradient, inputShape: input.shape, addingTo: other)
            return convolution.geometry.kernel > 1 ? result.withoutPadding(inputSizes) : result
        }
    }
}
