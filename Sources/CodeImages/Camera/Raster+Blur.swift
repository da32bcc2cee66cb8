#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

extension Raster {
    /// Gaussian blur with `sigma` pixels; the border repeats.
    mutating func blur(sigma: Float) {
        guard sigma > 0.2 else { return }
        if sigma > 2 {
            blurByBoxes(sigma: sigma)
            return
        }
        let reach = max(1, Int((sigma * 2.5).rounded(.up)))
        var weights = (-reach...reach).map { exp(-Float($0 * $0) / (2 * sigma * sigma)) }
        let total = weights.reduce(0, +)
        weights = weights.map { $0 / total }
        convolve(weights, columnStep: 1, rowStep: 0)
        convolve(weights, columnStep: 0, rowStep: 1)
    }

    /// Three means over neighbours, whose cost does not grow with `sigma`.
    ///
    /// - Source: Wells, Efficient synthesis of Gaussian filters by cascaded uniform filters (1986).
    private mutating func blurByBoxes(sigma: Float) {
        // A box of n pixels has the variance (n^2 - 1) / 12.
        let reach = max(1, Int((((4 * sigma * sigma + 1).squareRoot() - 1) / 2).rounded()))
        for _ in 0..<3 {
            mean(lines: height, lineStep: width, count: width, step: 1, reach: reach)
            mean(lines: width, lineStep: 1, count: height, step: width, reach: reach)
        }
    }

    /// Replaces every pixel by the mean of itself and `reach` pixels on either side in its line.
    private mutating func mean(lines: Int, lineStep: Int, count: Int, step: Int, reach: Int) {
        var line = [Tone](repeating: .zero, count: count)
        let scale = 1 / Float(2 * reach + 1)
        pixels.withUnsafeMutableBufferPointer { pixels in
            line.withUnsafeMutableBufferPointer { line in
                for first in stride(from: 0, to: lines * lineStep, by: lineStep) {
                    for index in 0..<count { line[index] = pixels[first + index * step] }
                    var sum = line[0] * Float(reach + 1)
                    for index in 1...reach { sum += line[min(index, count - 1)] }
                    for index in 0..<count {
                        pixels[first + index * step] = sum * scale
                        sum += line[min(index + reach + 1, count - 1)] - line[max(index - reach, 0)]
                    }
                }
            }
        }
    }

    /// The mean along a line of `length` pixels, as from a moving camera.
    mutating func blur(along angle: Float, length: Float) {
        let count = Int(length.rounded())
        guard count > 1 else { return }
        let step = direction(angle)
        let source = pixels
        let offsets = (0..<count).map { index -> (Int, Int) in
            let position = Float(index) - Float(count - 1) / 2
            return (Int((step.x * position).rounded()), Int((step.y * position).rounded()))
        }
        let (scale, width, height) = (1 / Float(count), width, height)
        source.withUnsafeBufferPointer { source in
            pixels.withUnsafeMutableBufferPointer { pixels in
                for row in 0..<height {
                    for column in 0..<width {
                        var sum = Tone.zero
                        for (right, down) in offsets {
                            let x = min(max(column + right, 0), width - 1)
                            let y = min(max(row + down, 0), height - 1)
                            sum += source[y * width + x]
                        }
                        pixels[row * width + column] = sum * scale
                    }
                }
            }
        }
    }

    /// Magnifies red and shrinks blue by a share around the middle.
    mutating func fringe(_ share: Float) {
        let source = self
        let middle = area.center
        for row in 0..<height {
            for column in 0..<width {
                let point = Point(Float(column) + 0.5, Float(row) + 0.5)
                let shift = (point - middle) * share
                pixels[row * width + column].x = source.sample(point - shift).x
                pixels[row * width + column].z = source.sample(point + shift).z
            }
        }
    }

    /// Adds `strength` times what a small blur takes away: the halos of sharpening.
    mutating func sharpen(strength: Float, sigma: Float) {
        var soft = self
        soft.blur(sigma: sigma)
        for index in pixels.indices { pixels[index] += (pixels[index] - soft.pixels[index]) * strength }
    }

    /// - Parameter weights: an odd number of them, the middle one for the pixel itself.
    private mutating func convolve(_ weights: [Float], columnStep: Int, rowStep: Int) {
        let source = pixels
        let reach = weights.count / 2
        let stride = columnStep + rowStep * width
        let (width, height) = (width, height)
        let count = columnStep > 0 ? width : height
        source.withUnsafeBufferPointer { source in
            pixels.withUnsafeMutableBufferPointer { pixels in
                weights.withUnsafeBufferPointer { weights in
                    for row in 0..<height {
                        for column in 0..<width {
                            let index = row * width + column
                            let position = columnStep > 0 ? column : row
                            var sum = Tone.zero
                            if position >= reach, position + reach < count {
                                var tap = index - reach * stride
                                for weight in weights {
                                    sum += source[tap] * weight
                                    tap += stride
                                }
                            } else {
                                for (offset, weight) in weights.enumerated() {
                                    let moved = min(max(position + offset - reach, 0), count - 1)
                                    sum += source[index + (moved - position) * stride] * weight
                                }
                            }
                            pixels[index] = sum
                        }
                    }
                }
            }
        }
    }
}
