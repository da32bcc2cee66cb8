// Golden files: tools/golden_checkpoints.py (transformers 5.23.0, torch 2.15.0): one tiny model in every form. The numbers are
// exact in 16 bits, so all forms must give the same bits.

import Backbone
import Checkpoint
import DeformDETR
import Foundation
import TestSupport
import Tensors
import Testing

private func golden(_ name: String) -> String { Fixture.path("checkpoints/\(name)") }

/// The configuration of the golden base model.
private var baseConfiguration: Configuration {
    var configuration = Configuration()
    configuration.backbone = ResNetConfiguration(block: .bottleneck, depths: [1, 2], stemWidth: 4, widths: [1, 2])
    configuration.featureTaps = 1
    configuration.modelWidth = 32
    configuration.heads = 4
    configuration.encoderLayers = 1
    configuration.decoderLayers = 2
    configuration.levels = 2
    configuration.encoderPoints = 2
    configuration.decoderPoints = 1
    configuration.feedForwardWidth = 4
    configuration.queries = 5
    configuration.classes = 3
    return configuration
}

@Suite struct CheckpointNamesTests {
    @Test(arguments: [
        "v4.safetensors", "v5.safetensors", "timm.safetensors", "legacy.pth", "zip.pth", "pytorch_model.bin",
    ])
    func everyFormGivesTheSameModel(_ form: String) throws {
        let model = try ModelFile.open(golden("base/\(form)"))
        let expected = try WeightFile.open(golden("base/expected.safetensors"))
        #expect(model.configuration == baseConfiguration)
        #expect(model.classNames == [nil, "red cell", nil])
        #expect(model.warnings.isEmpty)
        #expect(Set(model.source.names) == Set(expected.names))
        #expect(Set(model.configuration.tensors.map(\.name)) == Set(expected.names))
        let cursor = model.cursor()
        for entry in expected.entries {
            let found = try cursor.tensor(entry.name, entry.shape).elements
            #expect(
                found.map(\.bitPattern) == (try expected.tensor(entry.name)).elements.map(\.bitPattern), "\(entry.name)"
            )
        }
        try cursor.requireAllUsed()
        #expect(model.parameterCount == model.configuration.parameterCount)
    }

    @Test(arguments: [("refined", "+ iterative refinement"), ("two-stage", "++ two-stage")])
    func variantsAreFound(_ folder: String, _ name: String) throws {
        let official = try ModelFile.open(golden("\(folder)/zip.pth"))
        let huggingFace = try ModelFile.open(golden("\(folder)/v4.safetensors"))
        var expected = baseConfiguration
        expected.refinement = true
        expected.twoStage = folder == "two-stage"
        expected.sharesHeads = false
        if expected.twoStage { expected.queries = 7 }
        #expect(official.configuration == expected)
        #expect(huggingFace.configuration == expected)
        #expect(expected.variantName == name)
        #expect(expected.headCount == (expected.twoStage ? 3 : 2))
        for tensor in expected.tensors {
            let values = try official.source.tensor(tensor.name).elements
            let others = try huggingFace.source.tensor(tensor.name).elements
            if folder == "refined", tensor.name.hasPrefix("class_embed.1") {
                // transformers 5 stores one class head for all layers; the official file has its own for each.
                #expect(try others == huggingFace.source.tensor("class_embed.0" + tensor.name.dropFirst(13)).elements)
                #expect(values != others)
            } else {
                #expect(values == others, "\(tensor.name)")
            }
        }
    }

    @Test(arguments: ["base/legacy.pth", "refined/zip.pth", "two-stage/v4.safetensors"])
    func convertsToItsOwnFormat(_ name: String) throws {
        let folder = try TemporaryFolder()
        let original = try ModelFile.open(golden(name))
        let path = "\(folder.path)/w.bin"
        try original.write(to: path)
        let converted = try ModelFile.open(path)
        #expect(converted.configuration == original.configuration)
        #expect(converted.classNames == original.classNames)
        #expect(converted.warnings.isEmpty)
        #expect(converted.format == "safetensors, detect")
        for tensor in original.configuration.tensors {
            #expect(try converted.source.tensor(tensor.name).elements == original.source.tensor(tensor.name).elements)
        }
        for entry in converted.file.entries { #expect(entry.byteOffset % 64 == 0) }
        try converted.write(to: "\(folder.path)/again.bin", classNames: ["a", nil, "c"])
        #expect(try ModelFile.open("\(folder.path)/again.bin").classNames == ["a", nil, "c"])
    }

    /// Published with the checkpoints; official + refinement has a class head for each layer.
    @Test func parametersOfThePublishedVariants() {
        var configuration = Configuration()
        #expect(configuration.parameterCount == 40_069_665)
        #expect(configuration.variantName == "base")
        configuration.refinement = true
        configuration.sharesHeads = false
        #expect(configuration.parameterCount == 40_849_660)
        configuration.twoStage = true
        #expect(configuration.parameterCount == 41_181_529)
        configuration = Configuration()
        configuration.levels = 1
        configuration.featureTaps = 1
        #expect(configuration.parameterCount == 34_066_593)
        #expect(configuration.variantName == "single-scale")
        configuration.backbone.dilatesLastStage = true
        #expect(configuration.parameterCount == 34_066_593)
        #expect(configuration.variantName == "single-scale DC5")
    }

    @Test func cocoNames() {
        #expect(CocoClasses.names.count == 91)
        #expect(CocoClasses.names.compactMap { $0 }.count == 80)
        #expect(CocoClasses.names[17] == "cat")
        #expect(CocoClasses.names[90] == "toothbrush")
    }
}

/// The golden tensors under official names, changed by a test and written as safetensors.
@Suite struct ModelFileTests {
    private let folder: TemporaryFolder
    private let base: TensorDictionary

    init() throws {
        folder = try TemporaryFolder()
        let golden = try WeightFile.open(golden("base/expected.safetensors"))
        var tensors = TensorDictionary()
        for name in golden.names { tensors[name] = try golden.tensor(name) }
        base = tensors
    }

    private func open(
        _ configuration: String? = "{\"encoder_attention_heads\":4}", metadata: [String: String] = [:],
        _ change: (inout TensorDictionary) throws -> Void = { _ in }
    ) throws -> ModelFile {
        var tensors = base
        try change(&tensors)
        try SafetensorsWriter.write(tensors, to: "\(folder.path)/model.safetensors", metadata: metadata)
        if let configuration { _ = try folder.write(Array(configuration.utf8), as: "config.json") }
        return try ModelFile.open("\(folder.path)/model.safetensors")
    }

    private func expectError(
        _ code: String, _ words: String..., opening: () throws -> ModelFile, line: SourceLocation = #_sourceLocation
    ) throws {
        let error = try #require(throws: CheckpointError.self, sourceLocation: line) { try opening() }
        #expect(error.code == code, "\(error)", sourceLocation: line)
        for word in words { #expect(error.description.contains(word), "\(error)", sourceLocation: line) }
    }

    @Test func missingExtraAndMisshapedTensorsAreNamed() throws {
        let name = "transformer.decoder.layers.1.linear2.bias"
        try expectError("missing_tensor", name, "[32]") { try open { $0[name] = nil } }
        try expectError("wrong_tensor_shape", name, "[32]", "[31]") { try open { $0[name] = Tensor([31]) } }
        try expectError("unexpected_tensors", "bbox_attention.q.weight") {
            try open { $0["bbox_attention.q.weight"] = Tensor([1]) }
        }
        try expectError("missing_tensor", "level_embed") { try open { $0["transformer.level_embed"] = nil } }
        try expectError("malformed_weights", "at least one element") { try open { $0[name] = Tensor([0], []) } }
        try expectError("missing_tensor", "backbone.0.body.conv1.weight") {
            try open { tensors in for name in tensors.names where name.hasPrefix("backbone") { tensors[name] = nil } }
        }
    }

    @Test func harmlessEntriesAndPrefixesAreSeenThrough() throws {
        let model = try open { tensors in
            for name in tensors.names {
                tensors["module.\(name)"] = tensors[name]
                tensors[name] = nil
            }
            tensors["module.transformer.total_params"] = Tensor([1])
            tensors["total_ops"] = Tensor([1])
            tensors["module.backbone.0.body.bn1.num_batches_tracked"] = Tensor([])
        }
        #expect(model.configuration == baseConfiguration)
    }

    @Test func headsThatDifferStaySeparate() throws {
        let name = "bbox_embed.0.layers.2.bias"
        func addSecondHead(_ tensors: inout TensorDictionary) {
            for name in tensors.names where name.contains("_embed.0.") {
                tensors[name.replacingOccurrences(of: "_embed.0.", with: "_embed.1.")] = tensors[name]
            }
        }
        #expect(try open { addSecondHead(&$0) }.configuration.sharesHeads)
        let separate = try open { tensors in
            addSecondHead(&tensors)
            tensors["bbox_embed.1.layers.2.bias"]?.withMutableElements { $0[3] += 1 }
        }
        #expect(!separate.configuration.sharesHeads)
        #expect(separate.source.names.contains("bbox_embed.1.layers.2.bias"))
        #expect(!separate.configuration.refinement)
        // A head that is stored twice must be the same twice.
        try expectError("malformed_weights", "a copy") {
            try open { tensors in
                tensors["transformer.decoder.\(name)"] = tensors[name]
                tensors["transformer.decoder.\(name)"]?.withMutableElements { $0[0] += 1 }
            }
        }
    }

    @Test func headsAndPointsNeedSomeoneWhoSaysThem() throws {
        // 8 heads x 1 point in the encoder, but 4 samples in the decoder: without a word about heads this is no model.
        try expectError("model_configuration", "heads", "encoder_attention_heads") { try open("{}") }
        #expect(try open("{\"encoder_n_points\": 2}").configuration.heads == 4)
        #expect(try open("{\"encoder_attention_heads\": 2}").configuration.encoderPoints == 4)
        try expectError("model_configuration", "encoder_n_points", "found 3") {
            try open("{\"encoder_attention_heads\": 4, \"encoder_n_points\": 3}")
        }
        try expectError("model_configuration", "heads", "found 3") { try open("{\"encoder_attention_heads\": 3}") }
    }

    @Test(arguments: [
        ("\"d_model\": 64", "d_model", "found 64"), ("\"encoder_layers\": 6", "encoder_layers", "1, as the weights"),
        ("\"num_queries\": 300", "num_queries", "300"), ("\"num_feature_levels\": 4", "num_feature_levels", "2"),
        ("\"activation_function\": \"gelu\"", "activation_function", "'relu'"),
        ("\"position_embedding_type\": \"learned\"", "position_embedding_type", "'sine'"),
        ("\"two_stage\": true", "with_box_refine", "two-stage"),
        ("\"two_stage\": true, \"with_box_refine\": true", "two_stage", "false"),
        ("\"num_labels\": 91", "num_labels", "3"), ("\"id2label\": {\"0\": \"a\"}", "id2label", "3"),
        ("\"id2label\": {\"zero\": \"a\"}", "id2label", "zero"), ("\"d_model\": \"32\"", "d_model", "positive integer"),
        ("\"dilation\": 1", "dilation", "true or false"),
        ("\"decoder_attention_heads\": 8", "decoder_attention_heads", "4"),
        ("\"encoder_ffn_dim\": -1", "encoder_ffn_dim", "positive"),
        ("\"backbone_config\": {\"hidden_act\": \"gelu\"}", "hidden_act", "relu"),
        ("\"backbone_config\": {\"downsample_in_bottleneck\": true}", "downsample_in_bottleneck", "false"),
    ])
    func contradictionsAreErrors(_ setting: String, _ key: String, _ word: String) throws {
        try expectError("model_configuration", key, word, "config.json") {
            try open("{\"encoder_attention_heads\": 4, \(setting)}")
        }
    }

    @Test func configurationsOfOtherModelsAreIgnored() throws {
        let configuration = "{\"encoder_n_points\": 2}"
        let path = try folder.write(Array(configuration.utf8), as: "named.json")
        try expectError("model_configuration", "heads") { try open("{\"model_type\": \"bert\", \"d_model\": 7}") }
        let model = try ModelFile.open("\(folder.path)/model.safetensors", configurationFile: path)
        #expect(model.configuration == baseConfiguration)
        try expectError("malformed_weights", "config.json") { try open("{\"d_model\": 32") }
    }

    @Test func dilationIsAskedForWhenNobodySaysIt() throws {
        func singleScale(_ configuration: String) throws -> ModelFile {
            try open(configuration) { tensors in
                for name in tensors.names where name.hasPrefix("input_proj.1") { tensors[name] = nil }
                tensors["transformer.level_embed"] = Tensor([1, 32])
            }
        }
        // The remaining offsets now mean twice as many points on one level.
        let silent = try singleScale("{\"encoder_attention_heads\": 4}")
        #expect(silent.warnings.contains { $0.contains("dilation") })
        #expect(!silent.configuration.backbone.dilatesLastStage)
        let told = try singleScale("{\"encoder_attention_heads\": 4, \"backbone_config\": {\"output_stride\": 16}}")
        #expect(told.warnings.isEmpty)
        #expect(told.configuration.backbone.dilatesLastStage)
    }

    /// Backbones of both kinds, any number of stages, taps, levels, heads and layers: the tensors alone say it, or metadata does.
    @Test(arguments: [
        (ResNetConfiguration(block: .basic, depths: [2, 2, 2], stemWidth: 8, widths: [8, 16, 32]), 2, 3),
        (ResNetConfiguration(block: .basic, depths: [1, 1, 1, 1], stemWidth: 4, widths: [4, 4, 4, 4]), 1, 1),
        (ResNetConfiguration(depths: [1, 2, 3, 2], stemWidth: 4, widths: [1, 2, 3, 5]), 3, 4),
        (ResNetConfiguration(depths: [1, 1], stemWidth: 4, widths: [2, 3], dilatesLastStage: true), 2, 2),
    ])
    func configurationsAreFoundFromTheirTensors(_ backbone: ResNetConfiguration, _ taps: Int, _ levels: Int) throws {
        for variant in 0..<3 {
            var configuration = Configuration()
            configuration.backbone = backbone
            configuration.featureTaps = taps
            configuration.levels = levels
            configuration.modelWidth = 64
            configuration.encoderLayers = variant + 1
            configuration.decoderLayers = 3 - variant
            configuration.feedForwardWidth = 8
            configuration.encoderPoints = 4
            configuration.decoderPoints = 1 + variant
            configuration.queries = variant == 2 ? 300 : 7
            configuration.classes = 2
            configuration.refinement = variant > 0
            configuration.twoStage = variant == 2
            configuration.sharesHeads = variant == 0
            var tensors = TensorDictionary()
            for tensor in configuration.tensors { tensors[tensor.name] = Tensor(tensor.shape) }
            let path = "\(folder.path)/found.safetensors"
            try SafetensorsWriter.write(tensors, to: path)
            let refinement = "{\"with_box_refine\": \(variant > 0), \"dilation\": \(backbone.dilatesLastStage)}"
            let file = try folder.write(Array(refinement.utf8), as: "named.json")
            let found = try ModelFile.open(path, configurationFile: file)
            #expect(found.configuration == configuration)
            try found.write(to: "\(folder.path)/w.bin")
            #expect(try ModelFile.open("\(folder.path)/w.bin").configuration == configuration)
        }
    }

    @Test func damagedMetadataIsRefused() throws {
        let path = "\(folder.path)/w.bin"
        try open().write(to: path)
        let good = try WeightFile.open(path)
        for (key, value, word) in [
            ("detect_format_version", "2", "newer"), ("dtype", "int3", "dtype"),
            ("configuration", "{\"heads\":", "end"),
            ("configuration", "{}", "configuration"), ("class_names", "[1]", "names"),
            ("class_names", "[\"a\",\"b\",\"c\",\"d\"]", "3"),
        ] {
            var metadata = good.metadata
            metadata[key] = value
            let error = try #require(throws: CheckpointError.self) { try open(nil, metadata: metadata) }
            #expect(error.description.contains(word), "\(error)")
        }
    }

    @Test func nonfiniteWeightsAreNamed() throws {
        let name = "transformer.level_embed"
        let model = try open { $0[name]?.withMutableElements { $0[5] = .infinity } }
        #expect(throws: CheckpointError.nonfinite(path: model.file.path, name: name, index: 5, value: "inf")) {
            try model.write(to: "\(folder.path)/w.bin")
        }
        try model.write(to: "\(folder.path)/w.bin", allowsNonfinite: true)
    }

    @Test func halfAJoinedProjectionIsNamed() throws {
        let path = try folder.write(
            [UInt8](Data(contentsOf: URL(fileURLWithPath: golden("base/v4.safetensors")))), as: "v4")
        let file = try WeightFile.open(path)
        let missing = "model.decoder.layers.1.self_attn.k_proj.weight"
        var tensors = TensorDictionary()
        for name in file.names where name != missing { tensors[name] = try file.tensor(name) }
        try SafetensorsWriter.write(tensors, to: "\(folder.path)/half.safetensors")
        try expectError("missing_tensor", "layers.1.self_attn.k_proj.weight") {
            try ModelFile.open("\(folder.path)/half.safetensors")
        }
    }
}
