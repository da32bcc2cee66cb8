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
            max(0, (extent + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1)
        }
    }

    public let inputChannels: Int
    public let outputChannels: Int
    public let geometry: Geometry
    private let weights: PackedWeights
    private let bias: Tensor?

    /// - Parameters:
    ///   - weight: `[output channels, input channels, kernel, kernel]`.
    ///   - bias: `[output channels]`.
    public init(weight: Tensor, bias: Tensor?, geometry: Geometry) {
        precondition(
            weight.shape.rank == 4 && weight.shape[2] == geometry.kernel && weight.shape[3] == geometry.kernel,
            "weight \(weight.shape) for a \(geometry.kernel)x\(geometry.kernel) kernel")
        precondition(bias.map { $0.shape == [weight.shape[0]] } ?? true, "bias does not match weight \(weight.shape)")
        inputChannels = weight.shape[1]
        outputChannels = weight.shape[0]
        self.geometry = geometry
        weights = PackedWeights(weight)
        self.bias = bias
    }

    /// Reads `weight` and `bias`.
    public init(_ cursor: WeightCursor, inputChannels: Int, outputChannels: Int, geometry: Geometry) throws {
        let shape: Shape = [outputChannels, inputChannels, geometry.kernel, geometry.kernel]
        self.init(
            weight: try cursor.tensor("weight", shape), bias: try cursor.tensor("bias", [outputChannels]),
            geometry: geometry)
    }

    /// - Parameters:
    ///   - input: `[N, H, W, input channels]`.
    ///   - residual: `[N, H', W', output channels]`, added before the activation; its memory becomes the result's.
    /// - Returns: `[N, H', W', output channels]`.
    public func callAsFunction(
        _ input: Tensor, activation: Activation = .none, addingTo residual: consuming Tensor? = nil
    ) -> Tensor {
        precondition(
            input.shape.rank == 4 && input.shape.last == inputChannels,
            "input \(input.shape), expected [N, H, W, \(inputChannels)]")
        let (batch, height, width) = (input.shape[0], input.shape[1], input.shape[2])
        let outputHeight = geometry.outputExtent(of: height)
        let outputWidth = geometry.outputExtent(of: width)
        let outputShape: Shape = [batch, outputHeight, outputWidth, outputChannels]
        let epilogue = Epilogue(hasBias: bias != nil, addsResidual: residual != nil, activation: activation)
        var output = residual ?? Tensor(uninitialized: outputShape)
        precondition(output.shape == outputShape, "residual \(output.shape), expected \(outputShape)")

        let key = PackedWeights.Key(extents: [batch, height, width], epilogue: epilogue)
        output.withMutableElements { output in
            guard let destination = output.baseAddress, !output.isEmpty else { return }
            weights.run(key, source: input, bias: bias, destination: destination) {
                // What the kernel does not reach at the end of an axis counts as negative padding.
                func paddingEnd(_ extent: Int, _ output: Int) -> Int {
                    (output - 1) * geometry.stride + geometry.dilation * (geometry.kernel - 1) + 1 - extent
                        - geometry.padding
                }
                var shape = onednn_convolution(
                    batch: Int64(batch), height: Int64(height), width: Int64(width), channels: Int64(inputChannels),
                    output_height: Int64(outputHeight), output_width: Int64(outputWidth),
                    output_channels: Int64(outputChannels), kernel_height: Int64(geometry.kernel),
                    kernel_width: Int64(geometry.kernel), stride_height: Int64(geometry.stride),
                    stride_width: Int64(geometry.stride), dilation_height: Int64(geometry.dilation),
                    dilation_width: Int64(geometry.dilation), padding_top: Int64(geometry.padding),
                    padding_left: Int64(geometry.padding),
                    padding_bottom: Int64(paddingEnd(height, outputHeight)),
                    padding_right: Int64(paddingEnd(width, outputWidth)), epilogue: epilogue.bridged)
                return Operation("a convolution of \(input.shape) to \(outputShape)") {
                    onednn_convolution_create(&shape, $0)
                }
            }
        }
        return output
    }
}
