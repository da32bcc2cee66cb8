import CKernels
import Images
import Tensors

/// Random brightness, contrast, saturation and hue, in random order, and sometimes no colour at all.
///
/// - Source: `ColorJitter` and `RandomGrayscale` of torchvision 0.29.2, with the formulas it has for images of bytes.
public struct ColorJitter: Sendable, Hashable {
    /// What the colours are multiplied by, 0 or more.
    public var brightness: ClosedRange<Double>
    /// What distances from the image's mean grey are multiplied by, 0 or more.
    public var contrast: ClosedRange<Double>
    /// What distances from each pixel's grey are multiplied by, 0 or more.
    public var saturation: ClosedRange<Double>
    /// By how many turns of the colour wheel hues move, within -0.5...0.5.
    public var hue: ClosedRange<Double>
    /// Of each of the four changes to happen, 0...1.
    public var probability: Double
    /// The chance that the image loses its colours in the end, 0...1.
    public var greyscale: Double

    /// - Precondition: every number lies in its range.
    public init(
        brightness: ClosedRange<Double> = 1...1, contrast: ClosedRange<Double> = 1...1,
        saturation: ClosedRange<Double> = 1...1, hue: ClosedRange<Double> = 0...0, probability: Double = 1,
        greyscale: Double = 0
    ) {
        for factors in [brightness, contrast, saturation] {
            precondition(factors.lowerBound >= 0 && factors.upperBound.isFinite, "factors of colours in \(factors)")
        }
        precondition((-0.5...0.5).contains(hue.lowerBound) && (-0.5...0.5).contains(hue.upperBound), "hues in \(hue)")
        precondition(
            (0...1).contains(probability) && (0...1).contains(greyscale), "chances \(probability), \(greyscale)")
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation
        self.hue = hue
        self.probability = probability
        self.greyscale = greyscale
    }

    /// Each change half the time, as far as objects stay what they are.
    ///
    /// - Source: "SSD" (arXiv 1512.02325); the defaults of `RandomPhotometricDistort` of torchvision 0.29.2, which also swaps
    ///   channels.
    public static let photometric = ColorJitter(
        brightness: 0.875...1.125, contrast: 0.5...1.5, saturation: 0.5...1.5, hue: -0.05...0.05, probability: 0.5)

    /// The image with other colours.
    func callAsFunction(_ image: Image, using generator: inout SeededGenerator) -> Image {
        let drawn: [ColorChange] = [
            .brightness(generator.value(in: brightness)), .contrast(generator.value(in: contrast)),
            .saturation(generator.value(in: saturation)), .hue(generator.value(in: hue)),
        ]
        var changes = drawn.filter { _ in generator.chance(probability) }
        for last in changes.indices.reversed() { changes.swapAt(last, generator.whole(in: 0...last)) }
        if generator.chance(greyscale) { changes.append(.saturation(0)) }
        return image.changed(changes)
    }
}

/// One change to all colours of an image: the factor, or the turns of a hue.
package enum ColorChange: Equatable {
    case brightness(Double)
    case contrast(Double)
    case saturation(Double)
    case hue(Double)

    /// Whether it leaves every colour as it is.
    var isNone: Bool {
        switch self {
        case .brightness(let factor), .contrast(let factor), .saturation(let factor): factor == 1
        case .hue(let turns): turns == 0
        }
    }
}

extension Image {
    /// The image after one change of its colours after the other.
    package func changed(_ changes: [ColorChange]) -> Image {
        let changes = changes.filter { !$0.isNone }
        guard !changes.isEmpty else { return self }
        var changed = pixels
        changed.withUnsafeMutableBufferPointer { bytes in
            let (byteCount, pixelCount) = (Int64(bytes.count), Int64(bytes.count / 3))
            for change in changes {
                switch change {
                case .brightness(let factor): colors_blend(byteCount, bytes.baseAddress, Float(factor), 0)
                case .contrast(let factor):
                    let sum = colors_sum_of_greys(pixelCount, bytes.baseAddress)
                    let mean = Float(Double(sum) / Double(pixelCount))
                    colors_blend(byteCount, bytes.baseAddress, Float(factor), Float(1 - factor) * mean)
                case .saturation(let factor):
                    colors_saturate(pixelCount, bytes.baseAddress, Float(factor), Float(1 - factor))
                case .hue(let turns): colors_turn_hue(pixelCount, bytes.baseAddress, Float(turns))
                }
            }
        }
        return Image(width: width, height: height, pixels: changed)
    }
}
