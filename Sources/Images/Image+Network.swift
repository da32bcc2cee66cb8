import Boxes
import Tensors

extension Image {
    /// Means and deviations of ImageNet's red, green and blue, 0...1.
    /// - Source: `torchvision/transforms/_presets.py`, `ImageClassification`.
    public static let imageNetMean: [Float] = [0.485, 0.456, 0.406]
    public static let imageNetDeviation: [Float] = [0.229, 0.224, 0.225]

    /// The network's input, `[1, H, W, 3]`: `((value / 255) - mean) / deviation`, each step in float32, as torchvision computes it.
    ///
    /// - Precondition: three means and three deviations.
    public func normalized(mean: [Float] = imageNetMean, deviation: [Float] = imageNetDeviation) -> Tensor {
        precondition(mean.count == 3 && deviation.count == 3, "expected 3 means and 3 deviations")
        let tables = (0..<3).map { channel in
            (0..<256).map { (Float($0) / 255 - mean[channel]) / deviation[channel] }
        }
        return tables[0].withUnsafeBufferPointer { red in
            tables[1].withUnsafeBufferPointer { green in
                tables[2].withUnsafeBufferPointer { blue in
                    Tensor([1, height, width, 3]) { output in
                        pixels.withUnsafeBufferPointer { pixels in
                            for start in stride(from: 0, to: pixels.count, by: 3) {
                                output[start] = red[Int(pixels[start])]
                                output[start + 1] = green[Int(pixels[start + 1])]
                                output[start + 2] = blue[Int(pixels[start + 2])]
                            }
                        }
                    }
                }
            }
        }
    }

    /// The part of the image inside a box of pixels, grown to whole pixels; nil when the box lies outside or has no area.
    public func cropped(to box: CornerBox) -> Image? {
        guard box.width > 0, box.height > 0 else { return nil }
        let inside = box.clamped(width: Float(width), height: Float(height))
        let (left, top) = (Int(inside.xMin.rounded(.down)), Int(inside.yMin.rounded(.down)))
        let (right, bottom) = (Int(inside.xMax.rounded(.up)), Int(inside.yMax.rounded(.up)))
        guard left < right, top < bottom else { return nil }
        var cropped: [UInt8] = []
        cropped.reserveCapacity((right - left) * (bottom - top) * 3)
        for row in top..<bottom {
            cropped.append(contentsOf: pixels[((row * width + left) * 3)..<((row * width + right) * 3)])
        }
        return Image(width: right - left, height: bottom - top, pixels: cropped)
    }
}
