import COneDNN
import Tensors

// The backward of a convolution: for a 1x1 kernel of stride 1 plain products, else oneDNN's backward convolutions over nhwc. On
// AVX-512 those are "jit:avx512_core" and "jit_1x1:avx512_core" and reach 80 to 95% of the forward's arithmetic rate (oneDNN
// 2.6.3); blocked layouts gain less than the reorders cost.

extension Conv2D {
    /// The layer's output, and how a gradient flows back through it.
    ///
    /// - Parameter input: `[N, H, W, input channels]`; the pullback keeps it, and the output if there is an activation.
    public func withPullback(_ input: Tensor, activation: Activation = .none) -> (output: Tensor, pullback: Pullback) {
        let output = self(input, activation: activation)
        let activated = activation == .relu ? output : nil
        return (
            output,
            { outputGradient, gradients in
                let gradient = activated.map { outputGradient.maskedByReLU(of: $0) } ?? outputGradient
                addParameterGradients(of: gradient, input: input, to: &gradients)
                return inputGradient(of: gradient, inputShape: input.shape)
            }
        )
    }

    /// The convolution of each image as if it were alone, and how a gradient flows back through it.
    ///
    /// What the output's gradient has outside the images counts as 0, and so does the input's there.
    public func withPullback(
        _ input: consuming FeatureMap, activation: Activation = .none
    ) -> (output: FeatureMap, pullback: Pullback) {
        if geometry.kernel > 1 { input.clearPadding() }
        let (inputSizes, outputSizes) = (input.validSizes, outputSizes(of: input))
        let (output, pullback) = withPullback(input.values, activation: activation)
        return (
            FeatureMap(values: output, validSizes: outputSizes),
            { outputGradient, gradients in
                let gradient = outputGradient.withoutPadding(outputSizes)
                return pullback(gradient, &gradients).withoutPadding(inputSizes)
            }
        )
    }

    /// Adds the gradients of the weight and, where it is a parameter, the bias.
    ///
    /// The sums over the pixels are shared among the threads, so their last bits depend on how many there are.
    ///
    /// - Parameters:
    ///   - gradient: of the output before its activation, `[N, H', W', output channels]`.
    ///   - input: `[N, H, W, input channels]`.
    /// - Precondition: the layer has been read from a checkpoint.
    package func addParameterGradients(of gradient: Tensor, input: Tensor, to gradients: inout Gradients) {
        guard let source else { preconditionFailure("the parameters of this convolution have no names") }
        precondition(
            gradient.shape == outputShape(of: input.shape), "gradient \(gradient.shape) for input \(input.shape)")
        if gradients.wants(source.path + ".weight") {
            var weightGradient = weightGradient(of: gradient, input: input)
            if let factors = source.factors { weightGradient.scaleRows(by: factors) }
            gradients.add(weightGradient, to: source.path + ".weight")
        }
        if bias != nil, source.factors == nil, gradients.wants(source.path + ".bias") {
            gradients.add(gradient.columnSums(), to: source.path + ".bias")
        }
    }

    /// The gradient of the input.
    ///
    /// - Parameters:
    ///   - gradient: of the output before its activation, `[N, H', W', output channels]`.
    ///   - inputShape: `[N, H, W, input channels]`.
    ///   - other: a gradient that reaches the input on another way and is added; its memory may become the result's.
    package func inputGradient(
        of gradient: Tensor, inputShape: Shape, addingTo other: consuming Tensor? = nil
    ) -> Tensor {
        precondition(
            gradient.shape == outputShape(of: inputShape), "gradient \(gradient.shape) for input \(inputShape)")
        if isProduct {
            let accumulates = other != nil
            var result = other ?? Tensor(uninitialized: inputShape)
            precondition(result.shape == inputShape, "gradient \(result.shape), expected \(inputShape)")
            Product.matrices(
                rows: gradient.count / outputChannels, inner: outputChannels, columns: inputChannels,
                accumulates: accumulates
            ).run(left: gradient, right: weights.plain(weightShape), into: &result)
            return result
        }
        guard !gradient.shape.dimensions.contains(0) else { return other ?? Tensor(inputShape) }
        var result = Tensor(uninitialized: inputShape)
        let key = PackedWeights.Key(
            extents: Array(inputShape.dimensions.dropLast()),
            epilogue: Epilogue(hasBias: false, addsResidual: false, activation: .none), isBackward: true)
        result.withMutableElements { result in
            guard let destination = result.baseAddress, !result.isEmpty else { return }
            weights.run(key, source: gradient, bias: nil, destination: destination) {
                operation(.inputGradient, inputShape: inputShape)
            }
        }
        return other.map { result.adding($0) } ?? result
    }

    /// The gradient of the layer's own weight, `[output channels, input channels, kernel, kernel]`.
    private func weightGradient(of gradient: Tensor, input: Tensor) -> Tensor {
        guard !gradient.shape.dimensions.contains(0) else { return Tensor(weightShape) }
        var result = Tensor(uninitialized: weightShape)
        if isProduct {
            Product.matrices(
                rows: outputChannels, inner: gradient.count / outputChannels, columns: inputChannels,
                transposingLeft: true
            ).run(left: gradient, right: input, into: &result)
            return result
        }
        let operation = operation(.weightGradient, inputShape: input.shape)
        let packed = Storage(byteCount: onednn_result_size(operation.handle))
        let status = withExtendedLifetime((input, gradient, packed)) {
            operation.run(
                source: input.pointer, weights: UnsafeRawPointer(gradient.pointer), bias: nil,
                destination: packed.start.assumingMemoryBound(to: Float.self))
            return result.withMutableElements { result -> Int32 in
                guard let target = result.baseAddress else { return 0 }
                return onednn_unpack_weights_gradient(operation.handle, packed.start, target)
            }
        }
        precondition(status == 0, "oneDNN could not unpack the gradient of a layer's weights: status \(status)")
        return result
    }

    private var weightShape: Shape { [outputChannels, inputChannels, geometry.kernel, geometry.kernel] }

    /// Whether every output pixel comes from the input pixel at its place alone.
    private var isProduct: Bool { geometry == Geometry(kernel: 1, dilation: geometry.dilation) }
}
