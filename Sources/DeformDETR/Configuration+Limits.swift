// How large a model may be. What a file or a caller says of its sizes is checked here before anything is computed or allocated from it.

import Checkpoint
import DeformableAttention

extension Configuration {
    /// Far beyond every published detector, and small enough that a few kilobytes of file cannot make the first image demand memory
    /// without bound: activations grow with these numbers, not with the file. No product of sizes within them overflows.
    enum Limit {
        /// Channels of tokens and of the backbone's stages.
        static let width = 16_384
        static let stemWidth = 4_096
        static let feedForwardWidth = 65_536
        /// Of the encoder, and of the decoder.
        static let layers = 100
        static let stages = 16
        /// Blocks of one stage of the backbone.
        static let depth = 1_000
        static let levels = 16
        static let queries = 10_000
        static let classes = 100_000
        /// Bytes of what grows with the square of the queries, or with queries times classes.
        static let queryBytes = 2 << 30
    }

    /// Compares every size with its limit.
    ///
    /// - Parameters:
    ///   - origin: what errors call the place that says the sizes: a file's path.
    ///   - queriesOrigin: what errors call the place that says the number of queries.
    /// - Throws: ``CheckpointError/configuration(path:key:expected:found:)`` for the first that is beyond.
    package func requireWithinLimits(origin: String, queriesOrigin: String) throws {
        func error(_ key: String, _ expected: String, _ found: String, in path: String) -> CheckpointError {
            .configuration(path: path, key: key, expected: expected, found: found)
        }
        func require(_ key: String, _ value: Int, atMost limit: Int, in path: String? = nil) throws {
            guard value >= 1, value <= limit else {
                throw error(key, "1 to \(limit)", "\(value)", in: path ?? origin)
            }
        }
        try require("width (d_model)", modelWidth, atMost: Limit.width)
        guard modelWidth % Self.normalizationGroups == 0 else {
            throw error(
                "width (d_model)", "a multiple of \(Self.normalizationGroups), the groups of GroupNorm",
                "\(modelWidth)",
                in: origin)
        }
        try require("heads", heads, atMost: modelWidth)
        try require("encoder_layers", encoderLayers, atMost: Limit.layers)
        try require("decoder_layers", decoderLayers, atMost: Limit.layers)
        try require("num_feature_levels", levels, atMost: Limit.levels)
        try require("feed-forward width", feedForwardWidth, atMost: Limit.feedForwardWidth)
        try require("classes", classes, atMost: Limit.classes)
        try require("stem width", backbone.stemWidth, atMost: Limit.stemWidth)
        try require("backbone stages", backbone.depths.count, atMost: Limit.stages)
        guard backbone.widths.count == backbone.depths.count else {
            throw error(
                "backbone widths", "\(backbone.depths.count), one for each stage", "\(backbone.widths.count)",
                in: origin)
        }
        for stage in backbone.depths.indices {
            try require("blocks of layer\(stage + 1)", backbone.depths[stage], atMost: Limit.depth)
            try require("width of layer\(stage + 1)", backbone.widths[stage], atMost: Limit.width)
        }
        try require("feature levels with 1x1 projections", featureTaps, atMost: min(levels, backbone.depths.count))
        // The kernel's tables of one head's samples have this size.
        let points = DeformableSampling.maximumSamples / levels
        try require("encoder_n_points with \(levels) levels", encoderPoints, atMost: points)
        try require("decoder_n_points with \(levels) levels", decoderPoints, atMost: points)
        try require("queries", queries, atMost: Limit.queries, in: queriesOrigin)
        for (count, name) in [
            (heads * queries, "\(heads) heads x \(queries) queries"), (classes, "\(classes) classes"),
        ] {
            let bytes = count * queries * MemoryLayout<Float>.stride
            guard bytes <= Limit.queryBytes else {
                throw error(
                    "queries", "at most \(Limit.queryBytes) bytes for \(name) x \(queries) queries", "\(bytes)",
                    in: queriesOrigin)
            }
        }
    }
}
