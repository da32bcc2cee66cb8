// What distinguishes one Deformable DETR from another. Source: Zhu et al., "Deformable DETR", 2021, and main.py of
// fundamentalvision/Deformable-DETR, whose defaults are the defaults here.

import Backbone

/// The sizes and options of a Deformable DETR. The default is the published multi-scale base model on ResNet-50.
public struct Configuration: Sendable, Hashable, Codable {
    /// Groups of the input projections' GroupNorm (models/deformable_detr.py), of which the width is a multiple.
    static let normalizationGroups = 32

    public var backbone = ResNetConfiguration()
    /// How many of the backbone's last stages feed the encoder.
    public var featureTaps = 3
    /// Channels of every token.
    public var modelWidth = 256
    public var heads = 8
    public var encoderLayers = 6
    public var decoderLayers = 6
    /// Feature levels: the tapped stages, then stride-2 convolutions on the last one.
    public var levels = 4
    /// Sampling points of each head and level in the encoder.
    public var encoderPoints = 4
    /// The same in the decoder's cross-attention.
    public var decoderPoints = 4
    public var feedForwardWidth = 1024
    /// Object queries; two-stage: proposals that become queries.
    public var queries = 300
    /// Columns of the logits. COCO's category ids are used as they are, so its 80 classes need 91.
    public var classes = 91
    /// Iterative bounding box refinement: each decoder layer corrects the boxes of the one before.
    public var refinement = false
    /// The encoder proposes the queries. Needs `refinement`.
    public var twoStage = false
    /// One class head and one box head serve all decoder layers, under index 0. Never with `refinement`.
    public var sharesHeads = true

    public init() {}

    /// Class heads and box heads: one for all decoder layers, or one each, and in two-stage one more for the encoder.
    public var headCount: Int { sharesHeads ? 1 : decoderLayers + (twoStage ? 1 : 0) }

    /// How many locations the feature maps of an image have, all levels together.
    ///
    /// - Parameters: the image's height and width in pixels, positive.
    public func locationCount(height: Int, width: Int) -> Int {
        // The stem quarters; every convolution of stride 2 rounds up.
        func halved(_ extent: Int) -> Int { (extent + 1) / 2 }
        var size = (height: halved(halved(height)), width: halved(halved(width)))
        var count = 0
        func shrink(by stride: Int) {
            if stride == 2 { size = (halved(size.height), halved(size.width)) }
        }
        for stage in backbone.depths.indices {
            shrink(by: backbone.stride(ofStage: stage))
            if stage >= backbone.depths.count - featureTaps { count += size.height * size.width }
        }
        for _ in featureTaps..<max(levels, featureTaps) {
            shrink(by: 2)
            count += size.height * size.width
        }
        return count
    }

    /// The name under which the authors publish the variant.
    public var variantName: String {
        let scale = levels > 1 ? "" : backbone.dilatesLastStage ? "single-scale DC5" : "single-scale"
        let method = twoStage ? "++ two-stage" : refinement ? "+ iterative refinement" : ""
        let name = [scale, method].filter { !$0.isEmpty }.joined(separator: " ")
        return name.isEmpty ? "base" : name
    }

    /// One line for people.
    public var summary: String {
        "\(variantName): ResNet \(backbone.block.rawValue) \(backbone.depths), width \(modelWidth), \(heads) heads,"
            + " \(levels) level\(levels == 1 ? "" : "s"), \(encoderLayers)+\(decoderLayers) layers, \(queries) queries,"
            + " \(classes) classes"
    }
}
