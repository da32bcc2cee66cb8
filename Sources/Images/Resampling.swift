import CImageCodecs

/// Pillow's antialiased bilinear resize of 8-bit RGB, byte for byte.
///
/// Two passes of weighted sums in integers, with bytes between them. A pass is left out where its size doesn't change, and the vertical
/// pass goes first where that saves much work: its rounding then comes first, too, so the order is part of the result.
/// - Source: `src/libImaging/Resample.c` of Pillow 13.0.0 (`precompute_coeffs`, `normalize_coeffs_8bpc`, `ImagingResampleInner`).
extension Image {
    /// The image at another size, equal to Pillow 13.0.0's `resize((width, height), Image.BILINEAR)`.
    ///
    /// Runs on the calling thread alone, beside a network that has the others.
    /// - Precondition: both sides are positive.
    public func resized(width newWidth: Int, height newHeight: Int) -> Image {
        resized(width: newWidth, height: newHeight, horizontally: Self.fastHorizontal, vertically: Self.fastVertical)
    }

    /// The same with plain loops: what the fast ones are compared with.
    package func resizedPlainly(width newWidth: Int, height newHeight: Int) -> Image {
        resized(width: newWidth, height: newHeight, horizontally: Self.plainHorizontal, vertically: Self.plainVertical)
    }

    /// One pass: resamples the image's columns, or its rows, to as many as there are weights.
    private typealias Pass = (Image, ResamplingWeights) -> Image

    private func resized(width newWidth: Int, height newHeight: Int, horizontally: Pass, vertically: Pass) -> Image {
        precondition(newWidth > 0 && newHeight > 0, "cannot resize to \(newWidth)x\(newHeight)")
        precondition(width > 0 && height > 0, "cannot resize an empty image")
        let isHorizontalFirst = !(height > newHeight && height - newHeight > (width - newWidth) * 2)
        var result = self
        if newWidth != width, isHorizontalFirst {
            result = horizontally(result, ResamplingWeights(from: width, to: newWidth))
        }
        if newHeight != height {
            result = vertically(result, ResamplingWeights(from: height, to: newHeight))
        }
        if newWidth != width, !isHorizontalFirst {
            result = horizontally(result, ResamplingWeights(from: width, to: newWidth))
        }
        return result
    }

    private static func fastHorizontal(_ image: Image, _ weights: ResamplingWeights) -> Image {
        let newWidth = weights.starts.count
        let (rowBytes, newRowBytes) = (image.width * 3, newWidth * 3)
        let pixels = [UInt8](unsafeUninitializedCapacity: newRowBytes * image.height) { output, count in
            image.pixels.withUnsafeBufferPointer { input in
                for row in 0..<image.height {
                    // Every start and count lies inside the row: `ResamplingWeights` says so.
                    cimage_resample_row(
                        UnsafeBufferPointer(rebasing: input[(row * rowBytes)...]).baseAddress,
                        UnsafeMutableBufferPointer(rebasing: output[(row * newRowBytes)...]).baseAddress, newWidth,
                        weights.starts, weights.counts, weights.values, weights.stride)
                }
            }
            count = newRowBytes * image.height
        }
        return Image(width: newWidth, height: image.height, pixels: pixels)
    }

    private static func fastVertical(_ image: Image, _ weights: ResamplingWeights) -> Image {
        let newHeight = weights.starts.count
        let rowBytes = image.width * 3
        let pixels = [UInt8](unsafeUninitializedCapacity: rowBytes * newHeight) { output, count in
            image.pixels.withUnsafeBufferPointer { input in
                weights.values.withUnsafeBufferPointer { values in
                    for row in 0..<newHeight {
                        cimage_resample_rows(
                            UnsafeBufferPointer(rebasing: input[(Int(weights.starts[row]) * rowBytes)...]).baseAddress,
                            UnsafeMutableBufferPointer(rebasing: output[(row * rowBytes)...]).baseAddress, rowBytes,
                            Int(weights.counts[row]),
                            UnsafeBufferPointer(rebasing: values[(row * weights.stride)...]).baseAddress)
                    }
                }
            }
            count = rowBytes * newHeight
        }
        return Image(width: image.width, height: newHeight, pixels: pixels)
    }

    private static func plainHorizontal(_ image: Image, _ weights: ResamplingWeights) -> Image {
        let newWidth = weights.starts.count
        var pixels: [UInt8] = []
        pixels.reserveCapacity(newWidth * image.height * 3)
        for row in 0..<image.height {
            for column in 0..<newWidth {
                for channel in 0..<3 {
                    pixels.append(
                        weights.sum(at: column) { image.pixels[(row * image.width + $0) * 3 + channel] })
                }
            }
        }
        return Image(width: newWidth, height: image.height, pixels: pixels)
    }

    private static func plainVertical(_ image: Image, _ weights: ResamplingWeights) -> Image {
        let newHeight = weights.starts.count
        let rowBytes = image.width * 3
        var pixels: [UInt8] = []
        pixels.reserveCapacity(rowBytes * newHeight)
        for row in 0..<newHeight {
            for byte in 0..<rowBytes {
                pixels.append(weights.sum(at: row) { image.pixels[$0 * rowBytes + byte] })
            }
        }
        return Image(width: image.width, height: newHeight, pixels: pixels)
    }
}

/// Which input samples make up each output sample along one axis, and how much each counts.
struct ResamplingWeights {
    /// 32 bits less 8 of the sample and 2 for headroom.
    private static let fractionBits = 22

    /// The first input sample of each output sample; `starts[i] + counts[i]` is at most the input's size.
    private(set) var starts: [Int32] = []
    private(set) var counts: [Int32] = []
    /// `[output, stride]` in 1/2^22; only the first `counts[i]` of each row are used.
    private(set) var values: [Int32] = []
    let stride: Int

    /// - Precondition: both sizes are positive.
    init(from inputSize: Int, to outputSize: Int) {
        let scale = Double(inputSize) / Double(outputSize)
        // Enlarging interpolates between neighbours; shrinking widens the triangle to cover all that becomes one sample.
        let filterScale = max(scale, 1)
        let support = filterScale
        let inverseScale = 1 / filterScale
        stride = Int(support.rounded(.up)) * 2 + 1
        values = [Int32](repeating: 0, count: outputSize * stride)
        for output in 0..<outputSize {
            let center = (Double(output) + 0.5) * scale
            let start = max(Int(center - support + 0.5), 0)
            let end = min(Int(center + support + 0.5), inputSize)
            var weights: [Double] = []
            for input in start..<end {
                // As in the source, the integers are added before the centre is subtracted.
                let distance = abs((Double(input) - center + 0.5) * inverseScale)
                weights.append(distance < 1 ? 1 - distance : 0)
            }
            let total = weights.reduce(0, +)
            for (index, weight) in weights.enumerated() {
                let share = total == 0 ? weight : weight / total
                values[output * stride + index] = Int32(0.5 + share * Double(1 << Self.fractionBits))
            }
            starts.append(Int32(start))
            counts.append(Int32(end - start))
        }
    }

    /// The weighted sum of the input samples of output sample `index`, rounded.
    func sum(at index: Int, of sample: (_ input: Int) -> UInt8) -> UInt8 {
        var sum = Int32(1) << (Self.fractionBits - 1)
        for tap in 0..<Int(counts[index]) {
            sum += Int32(sample(Int(starts[index]) + tap)) * values[index * stride + tap]
        }
        return UInt8(clamping: sum >> Int32(Self.fractionBits))
    }
}
