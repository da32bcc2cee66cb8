import Checkpoint
import Layers
import Tensors

/// A residual network without its classifier: images in, feature maps of its last stages out.
///
/// Strides are on the 3x3 convolutions (torchvision's "v1.5"); a frozen BatchNorm is folded into the convolution before
/// it, with the ReLU and the residual sum.
///
/// - Source: "Deep Residual Learning" (arXiv 1512.03385); torchvision's `resnet.py`; `models/backbone.py` of
///   fundamentalvision/Deformable-DETR.
public struct ResNet: Sendable {
    public let configuration: ResNetConfiguration
    public let normalization: Normalization
    let precision: ComputePrecision
    let stem: NormalizedConvolution
    let pool = MaxPool()
    let stages: [[ResidualBlock]]

    /// Reads `conv1`, `bn1` and `layer1`, `layer2`, ... under `cursor`.
    public init(
        _ cursor: WeightCursor, configuration: ResNetConfiguration, normalization: Normalization = .frozen,
        precision: ComputePrecision = .float32
    ) throws {
        self.configuration = configuration
        self.normalization = normalization
        self.precision = precision
        stem = try NormalizedConvolution(
            cursor["conv1"], norm: cursor["bn1"], inputChannels: 3, outputChannels: configuration.stemWidth,
            geometry: Conv2D.Geometry(kernel: 7, stride: 2, padding: 3), normalization: normalization,
            precision: precision.withoutInt8)
        var stages: [[ResidualBlock]] = []
        var channels = configuration.stemWidth
        for (stage, depth) in configuration.depths.enumerated() {
            let isDilated = configuration.dilatesLastStage && stage == configuration.depths.count - 1
            var blocks: [ResidualBlock] = []
            for index in 0..<depth {
                let isFirst = index == 0
                let block = try ResidualBlock(
                    cursor["layer\(stage + 1)"][index], kind: configuration.block, inputChannels: channels,
                    width: configuration.widths[stage], outputChannels: configuration.outputWidths[stage],
                    stride: isFirst ? configuration.stride(ofStage: stage) : 1,
                    // A dilated stage's first block still has the dilation of the stage before.
                    dilation: isDilated && !isFirst ? 2 : 1,
                    projectsInput: isFirst && configuration.projectsInput(ofStage: stage),
                    normalization: normalization, precision: precision)
                blocks.append(block)
                channels = configuration.outputWidths[stage]
            }
            stages.append(blocks)
        }
        self.stages = stages
    }

    /// - Parameters:
    ///   - images: normalised RGB, `[N, H, W, 3]`.
    ///   - taps: how many of the last stages to return.
    /// - Returns: the outputs of the last `taps` stages, the largest map first: stage k (from 1) has stride `2^(k + 1)`.
    public func callAsFunction(_ images: FeatureMap, taps: Int) -> [FeatureMap] {
        factors(of: images, taps: taps, last: precision.withoutInt8.encoding).map(\.featureMap)
    }

    /// The same, as factors of products.
    ///
    /// - Parameter last: how the last map is to lie in memory; the others lie as the next stage wants them.
    package func factors(of images: FeatureMap, taps: Int, last: Encoding) -> [FactorMap] {
        checkInput(images, taps: taps)
        let precision = precision.withoutInt8
        var map = pool(stem(FactorMap(images, precision: precision), result: precision.encoding, activation: .relu))
        // Where each block's output goes.
        var inputs = stages.joined().map(\.input)
        map = map.converted(to: inputs.removeFirst())
        inputs.append(last)
        inputs.reverse()
        var features: [FactorMap] = []
        for (stage, blocks) in stages.enumerated() {
            for block in blocks { map = block(consume map, result: inputs.removeLast()) }
            if stage >= stages.count - taps { features.append(map) }
        }
        return features
    }

    func checkInput(_ images: FeatureMap, taps: Int) {
        precondition(images.channels == 3, "images \(images.values.shape), expected [N, H, W, 3]")
        precondition((1...stages.count).contains(taps), "\(taps) taps of \(stages.count) stages")
    }
}
