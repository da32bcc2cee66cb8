// Finds a model's configuration from the names and shapes of its tensors; what shapes cannot show comes from hints, and what both say must
// agree.

import Backbone
import Checkpoint
import Tensors

/// A configuration found, and what had to be assumed.
struct DetectedConfiguration {
    var configuration: Configuration
    var warnings: [String]
}

/// Reads a configuration off a checkpoint under official names.
struct ConfigurationDetector {
    let weights: CanonicalWeights
    /// The most trusted first.
    let hints: [ConfigurationHints]

    private static let defaultHeads = 8
    private static let defaultPoints = 4
    private static let defaultProposals = 300

    func detect() throws -> DetectedConfiguration {
        var configuration = Configuration()
        var warnings: [String] = []
        let levelEmbedding = try shape("transformer.level_embed", rank: 2)
        configuration.levels = levelEmbedding[0]
        configuration.modelWidth = levelEmbedding[1]
        configuration.encoderLayers = count { "transformer.encoder.layers.\($0).norm1.weight" }
        configuration.decoderLayers = count { "transformer.decoder.layers.\($0).norm1.weight" }
        guard configuration.encoderLayers > 0, configuration.decoderLayers > 0 else {
            throw CheckpointError.missingTensor(
                path: weights.origin,
                name: "transformer.\(configuration.encoderLayers == 0 ? "en" : "de")coder.layers.0.norm1.weight",
                expected: [configuration.modelWidth])
        }
        configuration.feedForwardWidth = try shape("transformer.encoder.layers.0.linear1.weight", rank: 2)[0]
        configuration.classes = try shape("class_embed.0.weight", rank: 2)[0]
        configuration.backbone = try backbone(&warnings, levels: configuration.levels)
        configuration.featureTaps = try featureTaps(configuration)
        try findPoints(&configuration, &warnings)
        try findVariant(&configuration, &warnings)
        try configuration.requireWithinLimits(
            origin: weights.origin,
            queriesOrigin: configuration.twoStage ? hintOrigin(\.proposals) ?? weights.origin : weights.origin)
        try requireAgreement(configuration)
        return DetectedConfiguration(configuration: configuration, warnings: warnings)
    }

    // MARK: - Parts

    private func backbone(_ warnings: inout [String], levels: Int) throws -> ResNetConfiguration {
        var backbone = try weights.backboneConfiguration()
        let dilates = hint(\.dilation)
        // The authors publish DC5 with a single level only; with several, dilation would be a very unusual choice.
        if dilates == nil, levels == 1 {
            warnings.append(
                "nothing says whether the last stage is dilated (DC5), which the weights do not show; assuming it is not."
                    + " If it is, give a config.json with \"dilation\": true")
        }
        backbone.dilatesLastStage = dilates ?? false
        return backbone
    }

    /// Tapped stages are projected by 1x1 convolutions, further levels by 3x3 ones.
    private func featureTaps(_ configuration: Configuration) throws -> Int {
        let taps = try (0..<configuration.levels).prefix { level in
            try shape("input_proj.\(level).0.weight", rank: 4)[2] == 1
        }.count
        guard 1...configuration.backbone.depths.count ~= taps else {
            throw error("feature levels with 1x1 projections", "1 to \(configuration.backbone.depths.count)", taps)
        }
        return taps
    }

    /// Shapes hold only the product of heads and points.
    private func findPoints(_ configuration: inout Configuration, _ warnings: inout [String]) throws {
        func samples(_ path: String) throws -> Int {
            let name = "transformer.\(path).attention_weights.weight"
            let rows = try shape(name, rank: 2)[0]
            guard rows % configuration.levels == 0 else {
                throw error(name, "a multiple of \(configuration.levels) levels as rows", rows)
            }
            return rows / configuration.levels
        }
        let encoderSamples = try samples("encoder.layers.0.self_attn")
        let decoderSamples = try samples("decoder.layers.0.cross_attn")
        let encoderPoints = hint(\.encoderPoints)
        let derivedHeads = encoderPoints.flatMap { 1...encoderSamples ~= $0 ? encoderSamples / $0 : nil }
        let heads = hint(\.heads) ?? derivedHeads ?? Self.defaultHeads
        guard heads > 0, encoderSamples % heads == 0, decoderSamples % heads == 0, configuration.modelWidth % heads == 0
        else {
            throw CheckpointError.configuration(
                path: hintOrigin(\.heads) ?? weights.origin, key: "heads",
                expected: "a number that divides \(encoderSamples) and \(decoderSamples) (heads x points) and width"
                    + " \(configuration.modelWidth); a config.json can say it (encoder_attention_heads)",
                found: "\(heads)")
        }
        configuration.heads = heads
        configuration.encoderPoints = encoderSamples / heads
        configuration.decoderPoints = decoderSamples / heads
        if hint(\.heads) == nil, derivedHeads == nil, configuration.encoderPoints != Self.defaultPoints {
            warnings.append(
                "nothing says how many attention heads there are; assuming \(heads) with \(configuration.encoderPoints)"
                    + " points each. If that is wrong, give a config.json with \"encoder_attention_heads\"")
        }
    }

    private func findVariant(_ configuration: inout Configuration, _ warnings: inout [String]) throws {
        configuration.twoStage = weights.shape(of: "transformer.enc_output.weight") != nil
        configuration.refinement = hint(\.refinement) ?? (weights.hasDecoderBoxHeads || configuration.twoStage)
        if hint(\.twoStage) ?? configuration.twoStage, !configuration.refinement {
            throw CheckpointError.configuration(
                path: hintOrigin(\.refinement) ?? hintOrigin(\.twoStage) ?? weights.origin, key: "with_box_refine",
                expected: "true, because a two-stage model needs refinement", found: "false")
        }
        if weights.hasDecoderBoxHeads, !configuration.refinement {
            throw CheckpointError.configuration(
                path: hintOrigin(\.refinement) ?? weights.origin, key: "with_box_refine",
                expected: "true, as the weights have box heads inside the decoder", found: "false")
        }
        configuration.sharesHeads = try !configuration.refinement && weights.headsAreIdentical()
        if configuration.twoStage {
            configuration.queries = hint(\.proposals) ?? Self.defaultProposals
            if hint(\.proposals) == nil {
                warnings.append(
                    "nothing says how many proposals become queries, which the weights do not show; assuming"
                        + " \(Self.defaultProposals). If that is wrong, give a config.json with"
                        + " \"two_stage_num_proposals\"")
            }
        } else {
            configuration.queries = try shape("query_embed.weight", rank: 2)[0]
        }
    }

    // MARK: - Hints

    /// The first statement about a field.
    private func hint<Value>(_ field: KeyPath<ConfigurationHints, Value?>) -> Value? {
        hints.lazy.compactMap { $0[keyPath: field] }.first
    }

    private func hintOrigin<Value>(_ field: KeyPath<ConfigurationHints, Value?>) -> String? {
        hints.first { $0[keyPath: field] != nil }?.origin
    }

    private func requireAgreement(_ found: Configuration) throws {
        try require("width (d_model)", \.modelWidth, found.modelWidth)
        try require("heads", \.heads, found.heads)
        try require("encoder_layers", \.encoderLayers, found.encoderLayers)
        try require("decoder_layers", \.decoderLayers, found.decoderLayers)
        try require("num_feature_levels", \.levels, found.levels)
        try require("encoder_n_points", \.encoderPoints, found.encoderPoints)
        try require("decoder_n_points", \.decoderPoints, found.decoderPoints)
        try require("feed-forward width", \.feedForwardWidth, found.feedForwardWidth)
        if !found.twoStage { try require("num_queries", \.queries, found.queries) }
        try require("classes (num_labels, id2label)", \.classes, found.classes)
        try require("two_stage", \.twoStage, found.twoStage)
        try require("shared heads", \.sharesHeads, found.sharesHeads)
        if var stated = hint(\.backbone) {
            // A more trusted hint may have said otherwise about the dilation, which the shapes do not show.
            stated.dilatesLastStage = found.backbone.dilatesLastStage
            guard stated == found.backbone else {
                throw CheckpointError.configuration(
                    path: hintOrigin(\.backbone) ?? weights.origin, key: "backbone",
                    expected: "\(found.backbone), as the weights' shapes say", found: "\(stated)")
            }
        }
    }

    private func require<Value: Equatable>(
        _ key: String, _ field: KeyPath<ConfigurationHints, Value?>, _ found: Value
    ) throws {
        guard let stated = hint(field), stated != found else { return }
        throw CheckpointError.configuration(
            path: hintOrigin(field) ?? weights.origin, key: key, expected: "\(found), as the weights' shapes say",
            found: "\(stated)")
    }

    // MARK: - Shapes

    private func shape(_ name: String, rank: Int) throws -> Shape { try weights.shape(of: name, rank: rank) }

    private func count(_ name: (Int) -> String) -> Int { weights.count(name) }

    private func error(_ key: String, _ expected: String, _ found: Int) -> CheckpointError {
        .configuration(path: weights.origin, key: key, expected: expected, found: "\(found)")
    }
}
