// The tensors that a model consists of, under the official checkpoint's names: what a checkpoint must hold, no more and no less.
// Source: models/{backbone,deformable_detr,deformable_transformer}.py of fundamentalvision/Deformable-DETR.

import Backbone
import Checkpoint
import Tensors

extension Configuration {
    /// A tensor of the model.
    public struct TensorDescription: Sendable, Equatable {
        public let name: String
        public let shape: Shape
        /// Whether it is one of the frozen batch normalisations' buffers, which no one counts as parameters.
        public let isBuffer: Bool

        /// Whether it is a weight that the model's precision rounds: of backbone, input projections, encoder and decoder layers.
        /// What proposes, refines and predicts boxes computes in float32.
        public var isFactor: Bool {
            shape.rank > 1
                && ["backbone.", "input_proj.", "transformer.encoder.", "transformer.decoder."].contains {
                    name.hasPrefix($0)
                }
        }

        /// Whether a model in int8 multiplies it as whole numbers: convolutions but the first, and what every location of the encoder
        /// and its memory passes.
        public var isWhole: Bool {
            guard isFactor, name != "backbone.0.body.conv1.weight" else { return false }
            let parts = name.split(separator: ".")
            guard parts[0] == "transformer", parts.count > 2 else { return true }
            return parts[1] == "encoder"
                || ["value_proj", "output_proj"].contains(parts[parts.count - 2]) && name.contains(".cross_attn.")
        }

        /// What `w.bin` has beside a whole tensor: what a whole number counts, by output channel, and ranges of activations.
        var quantizationTensors: [(name: String, shape: Shape)] {
            guard isWhole else { return [] }
            let path = name.dropLast(".weight".count)
            var tensors: [(String, Shape)] = [(name + WeightFile.stepSuffix, [shape[0]])]
            // One product with the sampling offsets.
            if !path.hasSuffix(".attention_weights") { tensors.append(("\(path).input_range", [2])) }
            if path.hasSuffix(".downsample.0") { tensors.append(("\(path).output_range", [2])) }
            return tensors
        }
    }

    /// All tensors of this model, in the order of the network. Complexity: linear in their number.
    public var tensors: [TensorDescription] {
        var list = TensorList()
        list.addBackbone(backbone)
        addInputProjections(to: &list)
        addTransformer(to: &list)
        for head in 0..<headCount {
            list.addLinear("class_embed.\(head)", modelWidth, classes)
            list.addLinear("bbox_embed.\(head).layers.0", modelWidth, modelWidth)
            list.addLinear("bbox_embed.\(head).layers.1", modelWidth, modelWidth)
            list.addLinear("bbox_embed.\(head).layers.2", modelWidth, 4)
        }
        return list.tensors
    }

    /// Trainable and frozen weights, each counted once, without the statistics of frozen batch normalisation.
    public var parameterCount: Int { tensors.reduce(0) { $0 + ($1.isBuffer ? 0 : $1.shape.count) } }

    private func addInputProjections(to list: inout TensorList) {
        let tapped = backbone.outputWidths.suffix(featureTaps)
        for (level, width) in tapped.enumerated() {
            list.add("input_proj.\(level).0.weight", [modelWidth, width, 1, 1])
            list.addProjectionEnd(level, modelWidth)
        }
        for level in tapped.count..<max(levels, tapped.count) {
            let width = level == tapped.count ? backbone.outputWidths.last ?? 0 : modelWidth
            list.add("input_proj.\(level).0.weight", [modelWidth, width, 3, 3])
            list.addProjectionEnd(level, modelWidth)
        }
    }

    private func addTransformer(to list: inout TensorList) {
        list.add("transformer.level_embed", [levels, modelWidth])
        for layer in 0..<encoderLayers {
            let path = "transformer.encoder.layers.\(layer)"
            addDeformableAttention("\(path).self_attn", encoderPoints, to: &list)
            list.addNorm("\(path).norm1", modelWidth)
            addFeedForward(path, to: &list)
            list.addNorm("\(path).norm2", modelWidth)
        }
        for layer in 0..<decoderLayers {
            let path = "transformer.decoder.layers.\(layer)"
            addDeformableAttention("\(path).cross_attn", decoderPoints, to: &list)
            list.addNorm("\(path).norm1", modelWidth)
            list.add("\(path).self_attn.in_proj_weight", [3 * modelWidth, modelWidth])
            list.add("\(path).self_attn.in_proj_bias", [3 * modelWidth])
            list.addLinear("\(path).self_attn.out_proj", modelWidth, modelWidth)
            list.addNorm("\(path).norm2", modelWidth)
            addFeedForward(path, to: &list)
            list.addNorm("\(path).norm3", modelWidth)
        }
        if twoStage {
            list.addLinear("transformer.enc_output", modelWidth, modelWidth)
            list.addNorm("transformer.enc_output_norm", modelWidth)
            list.addLinear("transformer.pos_trans", 2 * modelWidth, 2 * modelWidth)
            list.addNorm("transformer.pos_trans_norm", 2 * modelWidth)
        } else {
            list.addLinear("transformer.reference_points", modelWidth, 2)
            list.add("query_embed.weight", [queries, 2 * modelWidth])
        }
    }

    private func addDeformableAttention(_ path: String, _ points: Int, to list: inout TensorList) {
        list.addLinear("\(path).sampling_offsets", modelWidth, heads * levels * points * 2)
        list.addLinear("\(path).attention_weights", modelWidth, heads * levels * points)
        list.addLinear("\(path).value_proj", modelWidth, modelWidth)
        list.addLinear("\(path).output_proj", modelWidth, modelWidth)
    }

    private func addFeedForward(_ path: String, to list: inout TensorList) {
        list.addLinear("\(path).linear1", modelWidth, feedForwardWidth)
        list.addLinear("\(path).linear2", feedForwardWidth, modelWidth)
    }
}

/// Collects descriptions layer by layer.
private struct TensorList {
    var tensors: [Configuration.TensorDescription] = []

    mutating func add(_ name: String, _ shape: Shape, isBuffer: Bool = false) {
        tensors.append(Configuration.TensorDescription(name: name, shape: shape, isBuffer: isBuffer))
    }

    mutating func addLinear(_ path: String, _ inputs: Int, _ outputs: Int) {
        add("\(path).weight", [outputs, inputs])
        add("\(path).bias", [outputs])
    }

    mutating func addNorm(_ path: String, _ width: Int) {
        add("\(path).weight", [width])
        add("\(path).bias", [width])
    }

    /// The bias of a level's convolution and its GroupNorm.
    mutating func addProjectionEnd(_ level: Int, _ width: Int) {
        add("input_proj.\(level).0.bias", [width])
        addNorm("input_proj.\(level).1", width)
    }

    mutating func addFrozenBatchNorm(_ path: String, _ width: Int) {
        for part in ["weight", "bias", "running_mean", "running_var"] {
            add("\(path).\(part)", [width], isBuffer: true)
        }
    }

    mutating func addBackbone(_ backbone: ResNetConfiguration) {
        let root = "backbone.0.body"
        add("\(root).conv1.weight", [backbone.stemWidth, 3, 7, 7])
        addFrozenBatchNorm("\(root).bn1", backbone.stemWidth)
        var inputs = backbone.stemWidth
        for (stage, depth) in backbone.depths.enumerated() {
            let width = backbone.widths[stage]
            let outputs = backbone.outputWidths[stage]
            for block in 0..<depth {
                let path = "\(root).layer\(stage + 1).\(block)"
                // Kernel size and channels out of each convolution.
                let convolutions =
                    switch backbone.block {
                    case .basic: [(3, width), (3, width)]
                    case .bottleneck: [(1, width), (3, width), (1, outputs)]
                    }
                var channels = inputs
                for (index, (kernel, next)) in convolutions.enumerated() {
                    add("\(path).conv\(index + 1).weight", [next, channels, kernel, kernel])
                    addFrozenBatchNorm("\(path).bn\(index + 1)", next)
                    channels = next
                }
                if block == 0, backbone.projectsInput(ofStage: stage) {
                    add("\(path).downsample.0.weight", [outputs, inputs, 1, 1])
                    addFrozenBatchNorm("\(path).downsample.1", outputs)
                }
                inputs = outputs
            }
        }
    }
}
