// Every naming in which a Deformable DETR is found, brought to one: the official checkpoint's.
// Sources: convert_deformable_detr_to_pytorch.py and conversion_mapping.py of Hugging Face transformers (4.x and 5.23.0), torchvision's and
// transformers' ResNet modules.

/// The namings of checkpoints.
enum CheckpointNames {
    /// Where the backbone's tensors are, under torchvision's names.
    static let backbonePrefix = "backbone.0.body."

    /// The official name of a tensor; nil for entries that no model needs.
    ///
    /// The per-layer copies of heads inside the decoder (`transformer.decoder.bbox_embed`) become the heads themselves. The three projections
    /// of a decoder's self-attention stay apart as `self_attn.{q,k,v}_proj`; see ``projectionParts(of:)``.
    static func official(_ name: String, isHuggingFace: Bool) -> String? {
        if isIgnored(name) { return nil }
        var name = withoutPrefix("module.", name)
        if isHuggingFace { name = fromHuggingFace(name) }
        return withoutPrefix("transformer.decoder.", name, ifFollowedBy: ["class_embed.", "bbox_embed."])
    }

    /// Counters of batch normalisation and totals of profilers, which no model needs.
    static func isIgnored(_ name: String) -> Bool {
        ["num_batches_tracked", "total_params", "total_ops"].contains(name.split(separator: ".").last ?? "")
    }

    /// Whether the names are Hugging Face's, of either major version.
    static func areHuggingFace(_ names: some Sequence<String>) -> Bool {
        names.contains { name in
            let name = withoutPrefix("module.", name)
            return name.hasPrefix("model.encoder.") || name.hasPrefix("model.backbone.")
        }
    }

    /// Whether a head is stored as a part of the decoder, which only models with refinement do.
    static func isDecoderBoxHead(_ name: String) -> Bool { name.contains("decoder.bbox_embed.") }

    /// The separate projections, in order, whose rows together are `in_proj_weight` or `in_proj_bias`; nil for other names.
    static func projectionParts(of name: String) -> [String]? {
        for kind in ["weight", "bias"] where name.hasSuffix("self_attn.in_proj_\(kind)") {
            let path = name.dropLast("in_proj_\(kind)".count)
            return ["q", "k", "v"].map { "\(path)\($0)_proj.\(kind)" }
        }
        return nil
    }

    /// `...self_attn.q_proj.weight` becomes `...self_attn.in_proj_weight`; nil for names of other things.
    static func joinedProjection(of part: String) -> String? {
        for kind in ["weight", "bias"] {
            for letter in ["q", "k", "v"] where part.hasSuffix("self_attn.\(letter)_proj.\(kind)") {
                return part.dropLast("\(letter)_proj.\(kind)".count) + "in_proj_\(kind)"
            }
        }
        return nil
    }

    /// Takes the name of a head's tensor apart: `bbox_embed.2.layers.0.bias` is head 2; nil for other tensors.
    static func head(of name: String) -> (kind: String, index: Int, rest: String)? {
        let parts = name.split(separator: ".", maxSplits: 2).map(String.init)
        guard parts.count == 3, ["class_embed", "bbox_embed"].contains(parts[0]), let index = Int(parts[1]) else {
            return nil
        }
        return (parts[0], index, parts[2])
    }

    private static func fromHuggingFace(_ original: String) -> String {
        let name = withoutPrefix("model.", original)
        if name.hasPrefix("backbone.") { return backbone(name) }
        if name == "query_position_embeddings.weight" { return "query_embed.weight" }
        if ["input_proj.", "class_embed.", "bbox_embed."].contains(where: name.hasPrefix) { return name }
        var components = name.split(separator: ".").map(String.init)
        // encoder.layers.N.PART...
        if components.count > 4, components[1] == "layers" {
            if components[3] == "mlp", components.count > 5 { components.remove(at: 3) }
            let renamed = components[0] == "decoder" ? decoderParts : encoderParts
            components[3] = renamed[components[3]] ?? components[3]
            if components[3] == "self_attn", components[4] == "o_proj" { components[4] = "out_proj" }
        }
        return "transformer." + components.joined(separator: ".")
    }

    private static let encoderParts = [
        "self_attn_layer_norm": "norm1", "final_layer_norm": "norm2", "fc1": "linear1", "fc2": "linear2",
    ]

    private static let decoderParts = [
        "encoder_attn": "cross_attn", "encoder_attn_layer_norm": "norm1", "self_attn_layer_norm": "norm2",
        "final_layer_norm": "norm3", "fc1": "linear1", "fc2": "linear2",
    ]

    /// timm's names are torchvision's; transformers' own ResNet has others.
    private static func backbone(_ name: String) -> String {
        var rest = name
        for prefix in ["backbone.conv_encoder.model.", "backbone.model.", "_backbone."] {
            rest = withoutPrefix(prefix, rest)
        }
        let parts = rest.split(separator: ".").map(String.init)
        let kinds = ["convolution": "conv", "normalization": "bn"]
        if parts.count == 4, parts[0] == "embedder", parts[1] == "embedder", let kind = kinds[parts[2]] {
            rest = "\(kind)1.\(parts[3])"
        }
        // encoder.stages.S.layers.B.layer.I.convolution.weight, or ...B.shortcut.convolution.weight
        if parts.count >= 8, parts[0] == "encoder", parts[1] == "stages", let stage = Int(parts[2]), 0..<100 ~= stage {
            let block = "layer\(stage + 1).\(parts[4])"
            if parts[5] == "shortcut", parts.count == 8 {
                rest = "\(block).downsample.\(parts[6] == "convolution" ? 0 : 1).\(parts[7])"
            } else if parts.count == 9, let index = Int(parts[6]), 0..<100 ~= index, let kind = kinds[parts[7]] {
                rest = "\(block).\(kind)\(index + 1).\(parts[8])"
            }
        }
        return backbonePrefix + rest
    }

    private static func withoutPrefix(
        _ prefix: String, _ name: String, ifFollowedBy continuations: [String] = [""]
    ) -> String {
        guard name.hasPrefix(prefix) else { return name }
        let rest = name.dropFirst(prefix.count)
        return continuations.contains { $0.isEmpty || rest.hasPrefix($0) } ? String(rest) : name
    }
}
