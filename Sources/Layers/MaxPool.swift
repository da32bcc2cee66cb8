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
        input.clearPadding()
        let (height, width, channels) = (input.height, input.width, input.channels)
        let outputHeight = geometry.outputExtent(of: height)
        let outputWidth = geometry.outputExtent(of: width)
        let values = input.values
        let pooled = Tensor([input.images, outputHeight, outputWidth, channels]) { output in
            guard let target = output.baseAddress else { return }
            withExtendedLifetime(values) {
                Parallel.forRanges(input.images * outputHeight) { rows in
                    for row in rows {
                        rows_max_pool_3x3(
                            Int64(height), Int64(width), Int64(channels),
                            values.pointer + row / outputHeight * height * width * channels,
                            Int64(row % outputHeight), Int64(outputWidth), target + row * outputWidth * channels)
                    }
                }
            }
        }
        let sizes = input.validSizes.map {
            ValidSize(
                height: geometry.outputExtent(of: $0.height), width: geometry.outputExtent(of: $0.width))
        }
        return FeatureMap(values: pooled, validSizes: sizes)
    }
}
