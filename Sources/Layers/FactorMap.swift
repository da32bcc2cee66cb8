import Tensors

/// A batch of maps between the products of a network, in the format that these multiply.
package struct FactorMap: Sendable {
    /// `[N, H, W, C]`.
    package var values: Factor
    /// `[N]`; what lies outside is padding.
    package var validSizes: [ValidSize]

    package init(values: consuming Factor, validSizes: [ValidSize]) {
        self.values = values
        self.validSizes = validSizes
    }

    /// - Parameter map: shares its memory if the precision is float32.
    package init(_ map: consuming FeatureMap, precision: ComputePrecision) {
        validSizes = map.validSizes
        values = Factor(map.values, precision: precision)
    }

    /// - Parameter map: shares its memory if the encoding is float32.
    package init(_ map: consuming FeatureMap, encoding: Encoding) {
        validSizes = map.validSizes
        values = Factor(map.values, encoding: encoding)
    }

    /// The same maps in another encoding.
    package func converted(to encoding: Encoding) -> FactorMap {
        FactorMap(values: values.converted(to: encoding), validSizes: validSizes)
    }

    package var images: Int { values.shape[0] }
    package var height: Int { values.shape[1] }
    package var width: Int { values.shape[2] }

    /// In float32.
    package var featureMap: FeatureMap { FeatureMap(values: values.tensor, validSizes: validSizes) }

    /// Sets the padding to zero: what a convolution sees beyond the border of an image that is alone.
    package mutating func clearPadding() {
        guard validSizes.contains(where: { $0.height < height || $0.width < width }) else { return }
        let ranges = validSizes.paddedPixels(height: height, width: width)
        let pixelSize = values.shape[3] * values.encoding.size
        values.withMutableBytes { start in
            for range in ranges {
                (start + range.lowerBound * pixelSize)
                    .initializeMemory(as: UInt8.self, repeating: 0, count: range.count * pixelSize)
            }
        }
    }
}

extension Conv2D {
    /// The convolution of each image as if it were alone.
    ///
    /// - Parameters:
    ///   - input: in the encoding ``input``.
    ///   - residual: of the result's size in memory, which becomes the result's.
    package func callAsFunction(
        _ input: consuming FactorMap, result: Encoding, activation: Activation = .none,
        addingTo residual: consuming Factor? = nil
    ) -> FactorMap {
        if geometry.kernel > 1 { input.clearPadding() }
        let sizes = outputSizes(of: input.validSizes)
        return FactorMap(
            values: self(input.values, result: result, activation: activation, addingTo: residual),
            validSizes: sizes)
    }
}
