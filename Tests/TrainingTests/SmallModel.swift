// Models that a test can train in a moment, and samples for them.

import Backbone
import Boxes
import DeformDETR
import Images
import Tensors
import Training

enum SmallModel {
    static func configuration(_ change: (inout Configuration) -> Void = { _ in }) -> Configuration {
        var configuration = Configuration()
        configuration.backbone = ResNetConfiguration(
            block: .basic, depths: [1, 1, 1], stemWidth: 8, widths: [8, 16, 24])
        configuration.featureTaps = 2
        configuration.levels = 3
        configuration.modelWidth = 64
        configuration.heads = 4
        (configuration.encoderLayers, configuration.decoderLayers) = (1, 2)
        (configuration.encoderPoints, configuration.decoderPoints) = (3, 2)
        configuration.feedForwardWidth = 96
        configuration.queries = 30
        configuration.classes = 7
        change(&configuration)
        return configuration
    }

    static let twoStage = configuration { ($0.refinement, $0.twoStage, $0.sharesHeads) = (true, true, false) }

    /// Images of coloured rectangles on noise: a class for each of three colours.
    struct Samples: SampleSource {
        let classNames = ["red", "green", "blue"]
        var sampleCount = 10
        var size = (width: 96, height: 80)

        func sample(epoch: Int, position: Int) throws -> LabelledImage {
            var random = SeededGenerator(seed: UInt64(epoch * 1000 + position))
            let (width, height) = (size.width + 16 * (position % 3), size.height)
            var pixels = (0..<width * height * 3).map { _ in UInt8.random(in: 100...150, using: &random) }
            let objects = (0..<Int.random(in: 1...2, using: &random)).map { _ in
                let color = Int.random(in: 0..<3, using: &random)
                let left = Int.random(in: 0..<width - 40, using: &random)
                let top = Int.random(in: 0..<height - 40, using: &random)
                let (right, bottom) = (
                    left + Int.random(in: 20..<40, using: &random), top + Int.random(in: 20..<40, using: &random)
                )
                for y in top..<bottom {
                    for x in left..<right {
                        for channel in 0..<3 { pixels[(y * width + x) * 3 + channel] = channel == color ? 250 : 10 }
                    }
                }
                return LabelledImage.Object(
                    classID: color,
                    box: CornerBox(xMin: Float(left), yMin: Float(top), xMax: Float(right), yMax: Float(bottom)))
            }
            return LabelledImage(image: Image(width: width, height: height, pixels: pixels), objects: objects)
        }
    }
}
