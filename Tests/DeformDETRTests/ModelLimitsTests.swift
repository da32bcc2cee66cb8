// Models that no one should try to run, and what a model's surroundings say. Golden files: tools/golden_checkpoints.py.

import Backbone
import Checkpoint
import DeformDETR
import Foundation
import TestSupport
import Tensors
import Testing

/// The official tensors of a golden checkpoint, changed by a test and written as safetensors.
@Suite struct ModelLimitsTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// The tensors of `variant` of the golden models, which has 4 heads, width 32 and 2 levels.
    private func tensors(_ variant: String) throws -> TensorDictionary {
        let model = try ModelFile.open(Fixture.path("checkpoints/\(variant)/zip.pth"))
        var tensors = TensorDictionary()
        for name in model.source.names { tensors[name] = try model.source.tensor(name) }
        return tensors
    }

    private func open(
        _ tensors: TensorDictionary, named configuration: String = "{\"encoder_attention_heads\": 4}"
    ) throws -> ModelFile {
        try SafetensorsWriter.write(tensors, to: "\(folder.path)/model.safetensors")
        return try ModelFile.open(
            "\(folder.path)/model.safetensors", configurationFile: try write(configuration, as: "named.json"))
    }

    private func write(_ text: String, as name: String) throws -> String {
        try folder.write(Array(text.utf8), as: name)
    }

    private func expectError(
        _ words: String..., line: SourceLocation = #_sourceLocation, opening: () throws -> ModelFile
    ) throws {
        let error = try #require(throws: CheckpointError.self, sourceLocation: line) { try opening() }
        #expect(error.code == "model_configuration", "\(error)", sourceLocation: line)
        for word in words { #expect(error.description.contains(word), "\(error)", sourceLocation: line) }
    }

    // MARK: - Sizes

    /// A tensor of a few megabytes that would make the first image allocate gigabytes.
    @Test(
        arguments: [
            ("query_embed.weight", [10_001, 64], "1 to 10000"),
            ("transformer.encoder.layers.0.linear1.weight", [65_537, 32], "1 to 65536"),
            ("class_embed.0.weight", [100_001, 32], "1 to 100000"),
            ("backbone.0.body.conv1.weight", [4_097, 3, 7, 7], "1 to 4096"),
            ("backbone.0.body.layer1.0.conv2.weight", [16_385, 1, 1, 1], "1 to 16384"),
            ("transformer.level_embed", [2, 16_416], "1 to 16384"),
            ("transformer.level_embed", [2, 40], "multiple of 32"),
        ] as [(String, Shape, String)])
    func oversizedTensorsAreRefused(_ name: String, _ shape: Shape, _ word: String) throws {
        var tensors = try tensors("base")
        tensors[name] = Tensor(shape)
        try expectError("model.safetensors", word, "found \(shape[name.hasSuffix("level_embed") ? 1 : 0])") {
            try open(tensors)
        }
    }

    @Test func deepNetworksAreRefused() throws {
        var tensors = try tensors("base")
        for layer in 0...100 { tensors["transformer.decoder.layers.\(layer).norm1.weight"] = Tensor([32]) }
        try expectError("decoder_layers", "1 to 100", "found 101") { try open(tensors) }
        tensors = try self.tensors("base")
        for block in 0...1000 { tensors["backbone.0.body.layer2.\(block).conv1.weight"] = Tensor([1, 1, 1, 1]) }
        try expectError("layer2", "1 to 1000", "found 1001") { try open(tensors) }
        tensors = try self.tensors("base")
        tensors["transformer.level_embed"] = Tensor([17, 32])
        for level in 0..<17 { tensors["input_proj.\(level).0.weight"] = Tensor([32, 8, level == 0 ? 1 : 3, 1]) }
        for path in ["encoder.layers.0.self_attn", "decoder.layers.0.cross_attn"] {
            tensors["transformer.\(path).attention_weights.weight"] = Tensor([4 * 17, 32])
        }
        try expectError("num_feature_levels", "1 to 16", "found 17") { try open(tensors) }
    }

    /// The kernel has room for 256 samples of a head: with 2 levels, 128 points.
    @Test(arguments: ["encoder.layers.0.self_attn", "decoder.layers.0.cross_attn"])
    func tooManySamplesAreRefused(_ path: String) throws {
        var tensors = try tensors("base")
        tensors["transformer.\(path).attention_weights.weight"] = Tensor([4 * 2 * 129, 32])
        try expectError("\(path.prefix(7))_n_points", "1 to 128", "found 129") { try open(tensors) }
    }

    /// The decoder's attention scores grow with the square of the queries, the logits with queries times classes.
    @Test func memoryOfTheQueriesIsBounded() throws {
        var tensors = try tensors("base")
        for path in ["encoder.layers.0.self_attn", "decoder.layers.0.cross_attn"] {
            tensors["transformer.\(path).attention_weights.weight"] = Tensor([16, 32])
        }
        tensors["query_embed.weight"] = Tensor([8193, 64])
        try expectError("2147483648", "8 heads x 8193 queries x 8193", "2148007968") {
            try open(tensors, named: "{\"encoder_attention_heads\": 8}")
        }
        tensors["query_embed.weight"] = Tensor([6000, 64])
        tensors["class_embed.0.weight"] = Tensor([100_000, 32])
        try expectError("2147483648", "100000 classes x 6000", "2400000000") { try open(tensors) }
    }

    /// What a converted file says of itself is decoded into a `Configuration` unchecked.
    @Test func damagedSizesInMetadataAreRefused() throws {
        let path = "\(folder.path)/w.bin"
        let model = try ModelFile.open(Fixture.path("checkpoints/base/zip.pth"))
        try model.write(to: path)
        let metadata = try WeightFile.open(path).metadata
        var tensors = TensorDictionary()
        for name in model.source.names { tensors[name] = try model.source.tensor(name) }
        let fields: [WritableKeyPath<Configuration, Int> & Sendable] = [
            \.encoderPoints, \.decoderPoints, \.heads, \.levels, \.modelWidth, \.feedForwardWidth, \.classes, \.queries,
            \.encoderLayers, \.decoderLayers, \.featureTaps, \.backbone.stemWidth, \.backbone.widths[1],
            \.backbone.depths[0],
        ]
        for field in fields {
            for value in [0, -1, Int.min, Int.max, 1 << 32] {
                var changed = model.configuration
                changed[keyPath: field] = value
                var metadata = metadata
                metadata["configuration"] = String(decoding: try JSONEncoder().encode(changed), as: UTF8.self)
                try SafetensorsWriter.write(tensors, to: path, metadata: metadata)
                try expectError(path) { try ModelFile.open(path) }
            }
        }
        var stages = model.configuration
        stages.backbone.widths.removeLast()
        var changed = metadata
        changed["configuration"] = String(decoding: try JSONEncoder().encode(stages), as: UTF8.self)
        try SafetensorsWriter.write(tensors, to: path, metadata: changed)
        try expectError("backbone widths") { try ModelFile.open(path) }
    }

    @Test func projectionsWithoutAxesAreRefused() throws {
        let file = try WeightFile.open(Fixture.path("checkpoints/base/v4.safetensors"))
        var tensors = TensorDictionary()
        for name in file.names {
            let isPart = ["q", "k", "v"].contains { name.hasSuffix("decoder.layers.0.self_attn.\($0)_proj.weight") }
            tensors[name] = isPart ? Tensor([]) : try file.tensor(name)
        }
        try expectError("self_attn.q_proj.weight", "at least one axis", "shape []") { try open(tensors) }
    }

    // MARK: - Surroundings

    @Test func numberOfProposalsIsAskedForWhenNobodySaysIt() throws {
        let tensors = try tensors("two-stage")
        let silent = try open(tensors)
        #expect(silent.configuration.queries == 300)
        #expect(silent.warnings.contains { $0.contains("300") && $0.contains("two_stage_num_proposals") })
        let heads = "\"encoder_attention_heads\": 4"
        let told = try open(tensors, named: "{\(heads), \"two_stage_num_proposals\": 7}")
        #expect(told.configuration.queries == 7)
        #expect(told.warnings.isEmpty)
        try expectError("named.json", "queries", "1 to 10000", "found 20000") {
            try open(tensors, named: "{\(heads), \"two_stage_num_proposals\": 20000}")
        }
    }

    /// The named configuration goes first; what it leaves out is taken from the one beside the checkpoint.
    @Test func namedConfigurationCompletesTheOneBeside() throws {
        _ = try write(
            "{\"encoder_attention_heads\": 2, \"id2label\": {\"0\": \"a\", \"1\": \"b\", \"2\": \"c\"}}",
            as: "config.json")
        let tensors = try tensors("base")
        let model = try open(tensors)
        #expect(model.configuration.heads == 4)
        #expect(model.classNames == ["a", "b", "c"])
    }
}

/// Weights that would give NaN without containing it.
@Suite struct FrozenBatchNormTests {
    @Test func negativeVarianceIsRefused() throws {
        let file = try WeightFile.open(Fixture.path("base-bottleneck.safetensors"))
        var weights = TensorDictionary(origin: "model.bin")
        for name in file.names { weights[name] = try file.tensor(name) }
        let name = "backbone.0.body.layer2.0.bn1.running_var"
        weights[name]?.withMutableElements { $0[2] = -0.5 }
        let cursor = WeightCursor(weights)["backbone"][0]["body"]
        let configuration = ResNetConfiguration(
            depths: [1, 2, 1, 1], stemWidth: 8, widths: [4, 4, 4, 4])
        #expect {
            _ = try ResNet(cursor, configuration: configuration)
        } throws: { error in
            "\(error)".contains("model.bin") && "\(error)".contains("\(name)[2]") && "\(error)".contains("-0.5")
        }
    }
}
