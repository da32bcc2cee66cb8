import CKernels
import Tensors

/// Max-pooling with a 3x3 window, stride 2 and padding 1: the ResNet stem's.
///
/// - Source: torch.nn.MaxPool2d(kernel_size=3, stride=2, padding=1).
public struct MaxPool: Sendable {
    private let geometry = Conv2D.Geometry(kernel: 3, stride: 2, padding: 1)

    public init() {}

    /// - Parameter input: values that are not negative (they come from a ReLU), so that zero padding never wins.
    /// - Returns: `[N, H', W', C]`, `H' = (H - 1) / 2 + 1`.
    public func callAsFunction(_ input: consuming FeatureMap) -> FeatureMap {
        self(FactorMap(input, precision: .float32)).featureMap
    }

    /// The same for values in any format.
    package func callAsFunction(_ input: consuming FactorMap) -> FactorMap {
        input.clearPadding()
        let (height, width, channels) = (input.height, input.width, input.values.shape[3])
        let outputHeight = geometry.outputExtent(of: height)
        let outputWidth = geometry.outputExtent(of: width)
        let values = input.values
        let (imageSize, rowSize) = (height * width * channels, outputWidth * channels)
        var pooled = Factor(
            uninitialized: [input.images, outputHeight, outputWidth, channels], encoding: values.encoding)
        pooled.withMutableBytes { target in
            nonisolated(unsafe) let target = target
            withExtendedLifetime(values) {
                Parallel.forRanges(values.shape[0] * outputHeight) { rows in
                    for row in rows {
                        let size = values.encoding.size
                        let source = values.pointer + row / outputHeight * imageSize * size
                        let result = target + row * rowSize * size
                        switch values.encoding.element {
                        case .float32:
                            rows_max_pool_3x3(
                                Int64(height), Int64(width), Int64(channels),
                                source.assumingMemoryBound(to: Float.self), Int64(row % outputHeight),
                                Int64(outputWidth), result.assumingMemoryBound(to: Float.self))
                        case .bfloat16:
                            rows_max_pool_3x3_bfloat16(
                                Int64(height), Int64(width), Int64(channels),
                                source.assumingMemoryBound(to: UInt16.self), Int64(row % outputHeight),
                                Int64(outputWidth), result.assumingMemoryBound(to: UInt16.self))
                        case .uint8, .int8: preconditionFailure("maps are pooled before they become whole numbers")
                        }
                    }
                }
            }
        }
        let sizes = input.validSizes.map {
            ValidSize(
                height: geometry.outputExtent(of: $0.height), width: geometry.outputExtent(of: $0.width))
        }
        return FactorMap(values: pooled, validSizes: sizes)
    }
}

extension MaxPool {
    /// The layer's output, and how a gradient flows back through it: to the first of each window's largest elements, row by
    /// row.
    ///
    /// - Parameter input: as in ``callAsFunction(_:)``; the pullback keeps it and the output.
    public func withPullback(_ input: consuming FeatureMap) -> (output: FeatureMap, pullback: Pullback) {
        input.clearPadding()
        let (values, inputSizes) = (input.values, input.validSizes)
        let output = self(input)
        return (
            output,
            { outputGradient, _ in
                let gradient = outputGradient.withoutPadding(output.validSizes)
                return inputGradient(of: gradient, input: values, output: output.values).withoutPadding(inputSizes)
            }
        )
    }

    private func inputGradient(of gradient: Tensor, input: Tensor, output: Tensor) -> Tensor {
        precondition(gradient.shape == output.shape, "gradient \(gradient.shape) of \(output.shape)")
        let (images, height, width, channels) = (input.shape[0], input.shape[1], input.shape[2], input.shape[3])
        // Neighbouring windows share pixels, but channels share nothing: a cache line of them each.
        let slice = 16
        let slices = (channels + slice - 1) / slice
        var result = Tensor(input.shape)
        result.withMutableElements { result in
            guard let target = result.baseAddress else { return }
            withExtendedLifetime((gradient, input, output)) {
                Parallel.forRanges(images * slices) { parts in
                    for part in parts {
                        let (image, first) = (part / slices, part % slices * slice)
                        let inputStart = image * height * width * channels + first
                        let outputStart = image * output.shape[1] * output.shape[2] * channels + first
                        maps_max_pool_3x3_gradient(
                            Int64(height), Int64(width), Int64(channels), Int64(min(slice, channels - first)),
                            input.pointer + inputStart, Int64(output.shape[1]), Int64(output.shape[2]),
                            output.pointer + outputStart, gradient.pointer + outputStart, target + inputStart)
                    }
                }
            }
        }
        return result
    }
}
