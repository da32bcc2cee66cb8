// What a checkpoint's surroundings say about its model: Hugging Face's config.json, the training script's `args`, our own metadata.

import Backbone
import Checkpoint
import Foundation

/// Statements about a model that its tensors' shapes must confirm or cannot show. Nil: nothing said.
struct ConfigurationHints: Equatable {
    /// Where the statements stand, for errors.
    var origin = ""
    var backbone: ResNetConfiguration?
    var dilation: Bool?
    var modelWidth: Int?
    var heads: Int?
    var encoderLayers: Int?
    var decoderLayers: Int?
    var levels: Int?
    var encoderPoints: Int?
    var decoderPoints: Int?
    var feedForwardWidth: Int?
    var queries: Int?
    var proposals: Int?
    var classes: Int?
    var refinement: Bool?
    var twoStage: Bool?
    var sharesHeads: Bool?
    var classNames: [Int: String]?
}

// MARK: - Hugging Face

extension ConfigurationHints {
    static let modelType = "deformable_detr"

    /// Reads a Hugging Face `config.json`.
    ///
    /// - Throws: ``CheckpointError/configuration(path:key:expected:found:)`` for a setting that this package cannot run.
    init(huggingFace json: JSONValue, origin: String) throws {
        let fields = JSONFields(json: json, origin: origin)
        guard case .object = json else { throw fields.error("the document", "an object", json.kind) }
        try fields.requireText("model_type", Self.modelType)
        try fields.requireText("activation_function", "relu")
        try fields.requireText("position_embedding_type", "sine")
        if let backbone = json["backbone_config"], backbone != .null {
            let fields = JSONFields(json: backbone, origin: origin)
            try fields.requireText("hidden_act", "relu")
            // transformers' own ResNet can put its strides where torchvision's never has them.
            for key in ["downsample_in_bottleneck", "downsample_in_first_stage"] where try fields.boolean(key) == true {
                throw fields.error(key, "false, the only one supported", "true")
            }
        }
        self.origin = origin
        modelWidth = try fields.integer("d_model")
        heads = try fields.equalIntegers("encoder_attention_heads", "decoder_attention_heads")
        encoderLayers = try fields.integer("encoder_layers")
        decoderLayers = try fields.integer("decoder_layers")
        levels = try fields.integer("num_feature_levels")
        encoderPoints = try fields.integer("encoder_n_points")
        decoderPoints = try fields.integer("decoder_n_points")
        feedForwardWidth = try fields.equalIntegers("encoder_ffn_dim", "decoder_ffn_dim")
        queries = try fields.integer("num_queries")
        proposals = try fields.integer("two_stage_num_proposals")
        refinement = try fields.boolean("with_box_refine")
        twoStage = try fields.boolean("two_stage")
        dilation = try fields.boolean("dilation")
        // transformers 5 may say it in the backbone's own configuration only.
        if dilation != true, json["backbone_config"]?["output_stride"] == .integer(16) { dilation = true }
        classes = try fields.integer("num_labels")
        if let labels = json["id2label"], labels != .null {
            guard case .object(let members) = labels else { throw fields.error("id2label", "an object", labels.kind) }
            var names: [Int: String] = [:]
            for member in members {
                guard let index = Int(member.key), index >= 0, case .string(let name) = member.value else {
                    throw fields.error("id2label", "class ids and names", "'\(member.key)': \(member.value.kind)")
                }
                // What transformers writes when nobody named the classes, and for the gaps in COCO's ids.
                if name != "LABEL_\(index)", name != "N/A" { names[index] = name }
            }
            classNames = names
            classes = classes ?? members.count
        }
    }
}

/// Typed access to a JSON object; null counts as absent.
private struct JSONFields {
    let json: JSONValue
    let origin: String

    func error(_ key: String, _ expected: String, _ found: String) -> CheckpointError {
        .configuration(path: origin, key: key, expected: expected, found: found)
    }

    private func value(_ key: String) -> JSONValue? {
        json[key].flatMap { $0 == .null ? nil : $0 }
    }

    func integer(_ key: String) throws -> Int? {
        guard let value = value(key) else { return nil }
        guard case .integer(let integer) = value, integer > 0 else {
            throw error(key, "a positive integer", value.kind)
        }
        return integer
    }

    func boolean(_ key: String) throws -> Bool? {
        guard let value = value(key) else { return nil }
        guard case .boolean(let boolean) = value else { throw error(key, "true or false", value.kind) }
        return boolean
    }

    func requireText(_ key: String, _ expected: String) throws {
        guard let value = value(key), value != .string(expected) else { return }
        throw error(key, "'\(expected)', the only one supported", value.kind)
    }

    func equalIntegers(_ first: String, _ second: String) throws -> Int? {
        let values = try (integer(first), integer(second))
        if let encoder = values.0, let decoder = values.1, encoder != decoder {
            throw error(second, "\(encoder), the same as \(first)", "\(decoder)")
        }
        return values.0 ?? values.1
    }
}

// MARK: - The authors' training script

extension ConfigurationHints {
    /// Reads the options (`args`) that the authors' main.py saves with its checkpoints.
    init(arguments: SideValue, origin: String) throws {
        func integer(_ key: String) throws -> Int? {
            switch arguments[key] {
            case nil, SideValue.none?: return nil
            case .integer(let value)? where value > 0: return value
            case let other?:
                throw CheckpointError.configuration(
                    path: origin, key: "args.\(key)", expected: "a positive integer", found: "\(other)")
            }
        }
        func boolean(_ key: String) throws -> Bool? {
            switch arguments[key] {
            case nil, SideValue.none?: return nil
            case .boolean(let value)?: return value
            case let other?:
                throw CheckpointError.configuration(
                    path: origin, key: "args.\(key)", expected: "True or False", found: "\(other)")
            }
        }
        if case .string(let embedding)? = arguments["position_embedding"], !["sine", "v2"].contains(embedding) {
            throw CheckpointError.configuration(
                path: origin, key: "args.position_embedding", expected: "'sine', the only one supported",
                found: "'\(embedding)'")
        }
        self.origin = origin
        modelWidth = try integer("hidden_dim")
        heads = try integer("nheads")
        encoderLayers = try integer("enc_layers")
        decoderLayers = try integer("dec_layers")
        levels = try integer("num_feature_levels")
        encoderPoints = try integer("enc_n_points")
        decoderPoints = try integer("dec_n_points")
        feedForwardWidth = try integer("dim_feedforward")
        queries = try integer("num_queries")
        proposals = queries
        refinement = try boolean("with_box_refine")
        twoStage = try boolean("two_stage")
        dilation = try boolean("dilation")
    }
}

// MARK: - Our own metadata

extension ConfigurationHints {
    /// Everything that `configuration` says.
    init(_ configuration: Configuration, classNames: [Int: String], origin: String) {
        self.origin = origin
        backbone = configuration.backbone
        dilation = configuration.backbone.dilatesLastStage
        modelWidth = configuration.modelWidth
        heads = configuration.heads
        encoderLayers = configuration.encoderLayers
        decoderLayers = configuration.decoderLayers
        levels = configuration.levels
        encoderPoints = configuration.encoderPoints
        decoderPoints = configuration.decoderPoints
        feedForwardWidth = configuration.feedForwardWidth
        queries = configuration.queries
        proposals = configuration.queries
        classes = configuration.classes
        refinement = configuration.refinement
        twoStage = configuration.twoStage
        sharesHeads = configuration.sharesHeads
        self.classNames = classNames
    }
}
