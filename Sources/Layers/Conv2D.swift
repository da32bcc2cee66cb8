import COneDNN
import Checkpoint
import Tensors

/// 2-D convolution over `nhwc` activations, with bias, residual sum and ReLU fused into it.
///
/// Output extent per axis: `(input + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1`, as in PyTorch.
///
/// - Source: torch.nn.Conv2d.
public struct Conv2D: Sendable {
    /// Extents of the kernel and how it walks; square, the same on both axes.
    public struct Geometry: Sendable, Hashable {
        public var kernel: Int
        public var stride: Int
        public var padding: Int
        public var dilation: Int

        public init(kernel: Int, stride: Int = 1, padding: Int = 0, dilation: Int = 1) {
            self.kernel = kernel
            self.stride = stride
            self.padding = padding
            self.dilation = dilation
        }

        /// How many positions the kernel takes along an axis of `extent` pixels.
        public func outputExtent(of extent: Int) -> Int {
            let steps = extent + 2 * padding - dilation * (kernel - 1) - 1
            return steps < 0 ? 0 : steps / stride + 1
        }
    }

    public let inputChannels: Int
    public let outputChannels: Int
    public let geometry: Geometry
    let weights: PackedWeights
    let bias: Tensor?
    package let precision: ComputePrecision
    /// How the factors of its products lie in memory.
    package let input: Encoding
    let quantization: Quantization?
    /// Notes the range of the inputs; nil but in a calibration.
    let observer: ActivationObserver?
    /// Where the checkpoint has the parameters; nil for a layer of none.
    let source: Source?

    struct Source: Sendable {
        /// The path before `.weight` and `.bias`.
        let path: String
        /// The checkpoint's weight times its output channel's factor is this layer's, whose bias is then no parameter.
        let factors: [Double]?
    }

    /// A layer of no checkpoint, for inference.
    ///
    /// - Parameters:
    ///   - weight: `[output channels, input channels, kernel, kernel]`.
    ///   - bias: `[output channels]`.
    public init(weight: Tensor, bias: Tensor?, geometry: Geometry) {
        self.init(
            weight: StoredTensor(shape: weight.shape) { weight }, bias: bias, geometry: geometry, precision: .float32,
            input: .float32, source: nil)
    }

    private init(
        weight: StoredTensor, bias: Tensor?, geometry: Geometry, precision: ComputePrecision, input: Encoding,
        observer: ActivationObserver? = nil, source: Source?
    ) {
        precondition(
            weight.shape.rank == 4 && weight.shape[2] == geometry.kernel && weight.shape[3] == geometry.kernel,
            "weight \(weight.shape) for a \(geometry.kernel)x\(geometry.kernel) kernel")
        precondition(bias.map { $0.shape == [weight.shape[0]] } ?? true, "bias does not match weight \(weight.shape)")
        inputChannels = weight.shape[1]
        outputChannels = weight.shape[0]
        self.geometry = geometry
        quantization = input.isWhole ? Quantization(weight: weight, bias: bias, input: input) : nil
        weights = PackedWeights(weight, precision: precision, quantization: quantization)
        self.bias = quantization.map(\.bias) ?? bias
        self.input = input
        self.observer = observer
        self.precision = precision
        self.source = source
    }

    /// Reads `weight` and, unless told that there is none, `bias`.
    public init(
        _ cursor: WeightCursor, inputChannels: Int, outputChannels: Int, geometry: Geometry, hasBias: Bool = true,
        precision: ComputePrecision = .float32
    ) throws {
        let shape: Shape = [outputChannels, inputChannels, geometry.kernel, geometry.kernel]
        self.init(
            weight: try cursor.stored("weight", shape),
            bias: hasBias ? try cursor.tensor("bias", [outputChannels]) : nil, geometry: geometry,
            precision: precision, input: try Encoding(ofInputOf: cursor, precision: precision),
            observer: ActivationRanges.observer(ofInputOf: cursor), source: Source(path: cursor.path, factors: nil))
    }

    /// A convolution and a constant linear map of each output channel behind it, as one: reads `weight` and multiplies it.
    ///
    /// - Parameters:
    ///   - scale: a factor for each output channel.
    ///   - shift: what is added to each output channel after that; no parameter, so it gets no gradient.
    public init(
        _ cursor: WeightCursor, inputChannels: Int, geometry: Geometry, scale: [Double], shift: [Float],
        precision: ComputePrecision = .float32
    ) throws {
        precondition(scale.count == shift.count, "\(scale.count) factors, \(shift.count) shifts")
        let outputChannels = scale.count
        let shape: Shape = [outputChannels, inputChannels, geometry.kernel, geometry.kernel]
        let kernel = try cursor.stored("weight", shape).scalingRows(by: scale)
        self.init(
            weight: kernel, bias: Tensor([outputChannels], shift), geometry: geometry, precision: precision,
            input: try Encoding(ofInputOf: cursor, precision: precision),
            observer: ActivationRanges.observer(ofInputOf: cursor),
            source: Source(path: cursor.path, factors: scale))
    }

    /// - Parameters:
    ///   - input: `[N, H, W, input channels]`.
    ///   - residual: `[N, H', W', output channels]`, added before the activation; its memory becomes the result's.
    /// - Returns: `[N, H', W', output channels]`.
    public func callAsFunction(
        _ input: Tensor, activation: Activation = .none, addingTo residual: consuming Tensor? = nil
    ) -> Tensor {
        self(Factor(input, precision: precision, encoding: self.input), activation: activation, addingTo: residual)
    }

    /// The same for an input that is a factor already.
    package func callAsFunction(
        _ input: Factor, activation: Activation = .none, addingTo residual: consuming Tensor? = nil
    ) -> Tensor {
        self(input, result: .float32, activation: activation, addingTo: .floats(residual)).tensor
    }

    /// The same, with a result that lies in memory as the next product's factors do.
    ///
    /// - Parameter residual: of the result's size in memory.
    package func callAsFunction(
        _ input: Factor, result: Encoding, activation: Activation = .none, addingTo residual: consuming Factor? = nil
    ) -> Factor {
        observer?.observe(input)
        precondition(
            input.shape.rank == 4 && input.shape.last == inputChannels,
            "input \(input.shape), expected [N, H, W, \(inputChannels)]")
        let outputShape = outputShape(of: input.shape)
        let epilogue = Epilogue(hasBias: bias != nil, addsResidual: residual != nil, activation: activation)
        precondition(input.encoding == self.input, "input in \(input.encoding), expected \(self.input)")
        var output = residual ?? Factor(uninitialized: outputShape, encoding: result)
        precondition(output.shape == outputShape, "residual \(output.shape), expected \(outputShape)")
        let added = output.encoding
        output = output.reused(for: result)
        guard output.count > 0 else { return output }

        let key = PackedWeights.Key(
            extents: Array(input.shape.dimensions.dropLast()), epilogue: epilogue, result: result, added: added)
        output.withMutableBytes { destination in
            weights.run(key, source: input, bias: bias, destination: destination) {
                guard let quantization else {
                    return operation(.output(epilogue, in: result), inputShape: input.shape)
                }
                let scales = quantization.scales(into: result)
                return epilogue.withBridged(scales: scales, added: added, result: result) {
                    computation(.output(epilogue, in: result), inputShape: input.shape).compile(epilogue: $0)
                }
            }
        }
        return output
    }

    /// The output's shape for an input of `[N, H, W, input channels]`.
    func outputShape(of input: Shape) -> Shape {
        [input[0], geometry.outputExtent(of: input[1]), geometry.outputExtent(of: input[2]), outputChannels]
    }
}

extension Conv2D {
    /// What an operation of a convolution computes; all that its code depends on.
    struct Computation: Hashable, Sendable {
        enum Result: Hashable, Sendable {
            case output(Epilogue, in: Encoding)
            /// From the output's gradient and the weights.
            case inputGradient
            /// From the input and the output's gradient.
            case weightGradient
        }

        var result: Result
        /// How the factors lie in memory; a gradient is float32.
        var factors: Encoding
        var geometry: Geometry
        /// `[N, H, W, input channels]`.
        var input: Shape
        /// `[N, H', W', output channels]`.
        var output: Shape

        func compile() -> Operation {
            guard case .output(let epilogue, _) = result else { return compile(epilogue: onednn_epilogue()) }
            return compile(epilogue: epilogue.bridged)
        }

        func compile(epilogue: onednn_epilogue) -> Operation {
            // What the kernel does not reach at the end of an axis counts as negative padding.
            func paddingEnd(_ axis: Int) -> Int64 {
                Int64(
                    (output[axis] - 1) * geometry.stride + geometry.dilation * (geometry.kernel - 1) + 1 - input[axis]
                        - geometry.padding)
            }
            var shape = onednn_convolution(
                batch: Int64(input[0]), height: Int64(input[1]), width: Int64(input[2]), channels: Int64(input[3]),
                output_height: Int64(output[1]), output_width: Int64(output[2]), output_channels: Int64(output[3]),
                kernel_height: Int64(geometry.kernel), kernel_width: Int64(geometry.kernel),
                stride_height: Int64(geometry.stride), stride_width: Int64(geometry.stride),
                dilation_height: Int64(geometry.dilation), dilation_width: Int64(geometry.dilation),
                padding_top: Int64(geometry.padding), padding_left: Int64(geometry.padding),
                padding_bottom: paddingEnd(1), padding_right: paddingEnd(2),
                types: onednn_types(factors: factors.bridged, result: onednn_float32), epilogue: epilogue)
            return Operation("\(result) of a convolution of \(input) to \(output)") { handle in
                switch result {
                case .output(_, let encoding):
                    shape.types.result = encoding.bridged
                    return onednn_convolution_create(&shape, handle)
                case .inputGradient: return onednn_convolution_input_gradient_create(&shape, handle)
                case .weightGradient: return onednn_convolution_weights_gradient_create(&shape, handle)
                }
            }
        }

        static let cache = OperationCache<Computation>()
    }

    /// - Parameter factors: how they lie in memory; nil: as the layer has them.
    func operation(_ result: Computation.Result, inputShape: Shape, factors: Encoding? = nil) -> Operation {
        let computation = computation(result, inputShape: inputShape, factors: factors)
        if case .weightGradient = result { Computation.cache.keepForTraining() }
        return Computation.cache.operation(for: computation, compile: computation.compile)
    }

    private func computation(
        _ result: Computation.Result, inputShape: Shape, factors: Encoding? = nil
    ) -> Computation {
        Computation(
            result: result, factors: factors ?? input, geometry: geometry, input: inputShape,
            output: outputShape(of: inputShape))
    }
}
