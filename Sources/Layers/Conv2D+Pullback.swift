import COneDNN
import Tensors

// The backward of a convolution: plain products for a 1x1 kernel, else oneDNN's backward convolutions over nhwc.
//
// A 1x1 kernel of a larger stride sees some pixels only; they are gathered first. (oneDNN 2.6.3 has a backward by weights for it,
// "jit_1x1:avx512_core", that writes outside its memory with fewer than 16 channels.)
//
// oneDNN 2.6.3 runs those as "jit:avx512_core" and "jit_1x1:avx512_core" at 80 to 95% of the forward's arithmetic rate. Tried on
// ResNet-50 at 480x640 and left out, as each gains about 1% of a step: blocked layouts (they help where a 3x3 kernel has stride
// 2), and the input's gradient at stride 1 as a forward convolution with turned weights. Products beat oneDNN's 1x1 backward
// convolutions by some 5%.
//
// In bfloat16 they are "jit_bf16:avx512_core_bf16", 2 to 3 times as fast. By weights it multiplies scratch memory that it has not
// written for some dilated kernels over maps of 30 pixels and more in width, and where a map is about as narrow as the stride is
// large: wrong by any factor in 37 of 1,300 random shapes, and in none of 2,500 whose dilation is 1, whose stride at most 2 and
// whose width at least 2. The others are computed in float32.

extension Conv2D {
    /// The layer's output, and how a gradient flows back through it.
    ///
    /// - Parameter input: `[N, H, W, input channels]`; the pullback keeps it as it is multiplied.
    public func withPullback(_ input: Tensor, activation: Activation = .none) -> (output: Tensor, pullback: Pullback) {
        prepareForPullback()
        let factor = Factor(input, precision: precision)
        let output = self(factor, activation: activation)
        let mask = ReLUMask(of: output, activation: activation)
        return (
            output,
            { outputGradient, gradients in
                let gradient = mask?.gradient(of: outputGradient) ?? outputGradient
                let gradientFactor = addParameterGradients(of: gradient, input: factor, to: &gradients)
                return inputGradient(of: gradientFactor, inputShape: factor.shape)
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
        let (inputSizes, outputSizes) = (input.validSizes, outputSizes(of: input.validSizes))
        let (output, pullback) = withPullback(input.values, activation: activation)
        return (
            FeatureMap(values: output, validSizes: outputSizes),
            { outputGradient, gradients in
                let gradient = outputGradient.withoutPadding(outputSizes)
                return pullback(gradient, &gradients).withoutPadding(inputSizes)
            }
        )
    }

    /// To be called before the layer's first run where a backward pass may follow: that of a 1x1 kernel wants the weights as the
    /// checkpoint has them, and unpacking them takes as long as a tenth of its product.
    package func prepareForPullback() {
        if isPointwise { weights.keepPlain() }
    }

    /// Adds the gradients of the weight and, where it is a parameter, the bias.
    ///
    /// The sums over the pixels are shared among the threads, so their last bits depend on how many there are.
    ///
    /// - Parameters:
    ///   - gradient: of the output before its activation, `[N, H', W', output channels]`.
    ///   - input: `[N, H, W, input channels]`.
    /// - Returns: the gradient as a factor, for ``inputGradient(of:inputShape:addingTo:)``.
    /// - Precondition: the layer has been read from a checkpoint.
    package func addParameterGradients(
        of gradient: Tensor, input: Factor, to gradients: inout Gradients
    ) -> Factor {
        guard let source else { preconditionFailure("the parameters of this convolution have no names") }
        precondition(
            gradient.shape == outputShape(of: input.shape), "gradient \(gradient.shape) for input \(input.shape)")
        let factor = Factor(gradient, precision: precision)
        if gradients.wants(source.path + ".weight") {
            var weightGradient = weightGradient(of: factor, input: input)
            if let factors = source.factors { weightGradient.scaleRows(by: factors) }
            gradients.add(weightGradient, to: source.path + ".weight")
        }
        if bias != nil, source.factors == nil, gradients.wants(source.path + ".bias") {
            gradients.add(gradient.columnSums(), to: source.path + ".bias")
        }
        return factor
    }

    /// The gradient of the input.
    ///
    /// - Parameters:
    ///   - gradient: of the output before its activation, `[N, H', W', output channels]`.
    ///   - inputShape: `[N, H, W, input channels]`.
    ///   - other: a gradient that reaches the input on another way and is added; its memory may become the result's.
    package func inputGradient(
        of gradient: Factor, inputShape: Shape, addingTo other: consuming Tensor? = nil
    ) -> Tensor {
        precondition(
            gradient.shape == outputShape(of: inputShape), "gradient \(gradient.shape) for input \(inputShape)")
        if isPointwise, geometry.stride > 1 {
            var seen = Tensor(uninitialized: Shape(gradient.shape.dimensions.dropLast() + [inputChannels]))
            Product.matrices(
                rows: seen.count / inputChannels, inner: outputChannels, columns: inputChannels, isCutUp: true
            )
            .run(left: gradient, right: plainWeights, into: &seen)
            var result = other ?? Tensor(inputShape)
            result.addSpread(seen, every: geometry.stride)
            return result
        }
        if isPointwise {
            let accumulates = other != nil
            var result = other ?? Tensor(uninitialized: inputShape)
            precondition(result.shape == inputShape, "gradient \(result.shape), expected \(inputShape)")
            Product.matrices(
                rows: gradient.count / outputChannels, inner: outputChannels, columns: inputChannels,
                accumulates: accumulates, isCutUp: true
            ).run(left: gradient, right: plainWeights, into: &result)
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
    private func weightGradient(of gradient: Factor, input: Factor) -> Tensor {
        guard !gradient.shape.dimensions.contains(0) else { return Tensor(weightShape) }
        guard gradient.encoding == .float32 || isPointwise || hasSafeBFloat16WeightGradient(input.shape) else {
            return weightGradient(
                of: Factor(gradient.tensor, precision: .float32), input: Factor(input.tensor, precision: .float32))
        }
        var result = Tensor(uninitialized: weightShape)
        if isPointwise {
            let seen = geometry.stride > 1 ? input.gathered(every: geometry.stride) : input
            Product.matrices(
                rows: outputChannels, inner: gradient.count / outputChannels, columns: inputChannels,
                transposingLeft: true, isCutUp: true
            ).run(left: gradient, right: seen, into: &result)
            return result
        }
        let operation = operation(.weightGradient, inputShape: input.shape, factors: gradient.encoding)
        let packed = Storage(byteCount: onednn_result_size(operation.handle))
        let status = withExtendedLifetime((input, gradient, packed)) {
            operation.run(
                source: input.pointer, weights: gradient.pointer, bias: nil, destination: packed.start)
            return result.withMutableElements { result -> Int32 in
                guard let target = result.baseAddress else { return 0 }
                return onednn_unpack_weights_gradient(operation.handle, packed.start, target)
            }
        }
        precondition(status == 0, "oneDNN could not unpack the gradient of a layer's weights: status \(status)")
        return result
    }

    /// `[output channels, input channels]` of a 1x1 kernel.
    private var plainWeights: Factor { Factor(weights.plain(weightShape), precision: precision) }

    private var weightShape: Shape { [outputChannels, inputChannels, geometry.kernel, geometry.kernel] }

    /// Whether oneDNN's gradient of the weights in bfloat16 is to be trusted; see the top of this file.
    private func hasSafeBFloat16WeightGradient(_ input: Shape) -> Bool {
        geometry.dilation == 1 && geometry.stride <= 2 && input[2] >= 2
    }

    /// Whether every output pixel comes from one input pixel alone.
    private var isPointwise: Bool { geometry.kernel == 1 && geometry.padding == 0 }
}

extension Tensor {
    /// Adds maps to the pixels that ``Factor/gathered(every:)`` takes.
    fileprivate mutating func addSpread(_ maps: Tensor, every step: Int) {
        let (height, width, channels) = (maps.shape[1], maps.shape[2], maps.shape[3])
        let places = (0..<maps.shape[0] * height * width).map {
            shape.place(ofPixel: $0, height: height, width: width, step: step)
        }
        withMutableElements { elements in
            maps.withElements { maps in
                for (pixel, place) in places.enumerated() {
                    for channel in 0..<channels { elements[place + channel] += maps[pixel * channels + channel] }
                }
            }
        }
    }
}
