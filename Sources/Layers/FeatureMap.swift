import Tensors

/// The height and width of the part of a padded image or map that holds the image, in its own pixels.
public struct ValidSize: Sendable, Hashable {
    public var height: Int
    public var width: Int

    public init(height: Int, width: Int) {
        self.height = height
        self.width = width
    }
}

/// A batch of maps of one size, of which each image fills a rectangle from the top left; the rest is padding.
public struct FeatureMap: Sendable {
    /// `[N, H, W, C]`.
    public var values: Tensor
    /// `[N]`.
    public var validSizes: [ValidSize]

    /// - Precondition: one valid size an image, none larger than the map.
    public init(values: Tensor, validSizes: [ValidSize]) {
        precondition(values.shape.rank == 4, "a feature map needs [N, H, W, C], not \(values.shape)")
        precondition(
            validSizes.count == values.shape[0]
                && validSizes.allSatisfy { $0.height <= values.shape[1] && $0.width <= values.shape[2] },
            "valid sizes \(validSizes) for \(values.shape)")
        self.values = values
        self.validSizes = validSizes
    }

    /// A batch without padding.
    public init(values: Tensor) {
        let size = ValidSize(height: values.shape[1], width: values.shape[2])
        self.init(values: values, validSizes: Array(repeating: size, count: values.shape[0]))
    }

    public var images: Int { values.shape[0] }
    public var height: Int { values.shape[1] }
    public var width: Int { values.shape[2] }
    public var channels: Int { values.shape[3] }

    public var hasPadding: Bool {
        validSizes.contains { $0.height < height || $0.width < width }
    }

    /// Sets the padding to zero: what a convolution sees beyond the border of an image that is alone.
    public mutating func clearPadding() {
        guard hasPadding else { return }
        let ranges = validSizes.paddedPixels(height: height, width: width)
        let channels = channels
        values.withMutableElements { values in
            for range in ranges {
                values[range.lowerBound * channels..<range.upperBound * channels].update(repeating: 0)
            }
        }
    }
}

extension [ValidSize] {
    /// The pixels of a batch of maps, counted row by row and image by image, that are padding.
    func paddedPixels(height: Int, width: Int) -> [Range<Int>] {
        enumerated().flatMap { image, valid in
            (0..<height).map { row in
                let start = (image * height + row) * width
                return start + (row < valid.height ? valid.width : 0)..<start + width
            }
        }
    }
}

extension Tensor {
    /// These maps, `[N, H, W, C]`, or gradients of them, with zeros outside the images.
    package func withoutPadding(_ validSizes: [ValidSize]) -> Tensor {
        var map = FeatureMap(values: self, validSizes: validSizes)
        map.clearPadding()
        return map.values
    }
}

extension Conv2D {
    /// The convolution of each image as if it were alone: padding never reaches an image through the kernel.
    ///
    /// - Returns: `[N, H', W', output channels]` with the valid sizes that each image would have alone.
    public func callAsFunction(
        _ input: consuming FeatureMap, activation: Activation = .none, addingTo residual: consuming Tensor? = nil
    ) -> FeatureMap {
        if geometry.kernel > 1 { input.clearPadding() }
        let sizes = outputSizes(of: input.validSizes)
        return FeatureMap(values: self(input.values, activation: activation, addingTo: residual), validSizes: sizes)
    }

    /// The valid sizes of the output: what each image would have alone.
    package func outputSizes(of inputSizes: [ValidSize]) -> [ValidSize] {
        inputSizes.map {
            ValidSize(
                height: geometry.outputExtent(of: $0.height), width: geometry.outputExtent(of: $0.width))
        }
    }
}
