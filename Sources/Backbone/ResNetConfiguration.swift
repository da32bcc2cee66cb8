// The shape of a ResNet (He et al., "Deep Residual Learning for Image Recognition", 2015, table 1), as torchvision builds it.

/// The sizes of a residual network's stem and stages.
public struct ResNetConfiguration: Sendable, Hashable, Codable, CustomStringConvertible {
    /// What a stage repeats.
    public enum Block: String, Sendable, Codable {
        /// Two 3x3 convolutions (ResNet-18, -34).
        case basic
        /// 1x1, 3x3, 1x1, the last four times as wide (ResNet-50, -101); the stride is on the 3x3.
        case bottleneck
    }

    public var block: Block
    /// Blocks in each stage, `layer1` first; `[3, 4, 6, 3]` in ResNet-50. A network may have fewer stages than four.
    public var depths: [Int]
    /// Channels after the 7x7 convolution.
    public var stemWidth: Int
    /// Channels of the 3x3 convolutions of each stage.
    public var widths: [Int]
    /// DC5: the last stage keeps its input's size and dilates its 3x3 convolutions instead.
    public var dilatesLastStage: Bool

    /// ResNet-50 unless told otherwise.
    public init(
        block: Block = .bottleneck, depths: [Int] = [3, 4, 6, 3], stemWidth: Int = 64,
        widths: [Int] = [64, 128, 256, 512], dilatesLastStage: Bool = false
    ) {
        precondition(depths.count == widths.count, "\(depths.count) depths, \(widths.count) widths")
        self.block = block
        self.depths = depths
        self.stemWidth = stemWidth
        self.widths = widths
        self.dilatesLastStage = dilatesLastStage
    }

    /// Channels that each stage gives.
    public var outputWidths: [Int] {
        switch block {
        case .basic: widths
        case .bottleneck: widths.map { $0 * 4 }
        }
    }

    /// Whether the first block of `stage` (0 is `layer1`) projects its input, because size or width change.
    public func projectsInput(ofStage stage: Int) -> Bool {
        let inputWidth = stage == 0 ? stemWidth : outputWidths[stage - 1]
        return stride(ofStage: stage) != 1 || inputWidth != outputWidths[stage]
    }

    /// By how much `stage` (0 is `layer1`) shrinks its input.
    public func stride(ofStage stage: Int) -> Int {
        stage == 0 || (dilatesLastStage && stage == depths.count - 1) ? 1 : 2
    }

    public var description: String {
        "ResNet \(block.rawValue) \(depths), widths \(widths), stem \(stemWidth)\(dilatesLastStage ? ", dilated" : "")"
    }
}
