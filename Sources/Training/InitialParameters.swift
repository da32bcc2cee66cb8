// What a training starts from: the published initial values, and what an earlier checkpoint has of them.

import Checkpoint
import DeformDETR
import DeformableAttention
import Foundation
import Tensors

/// The parameters of a model before its first step.
///
/// `Configuration.tensors` says which there are; the initial values are those of the authors' program, which leaves biases of
/// linear layers at PyTorch's defaults. Each tensor's random numbers depend on the seed and its name alone.
///
/// - Source: `_reset_parameters` and the constructors in `models/{deformable_detr,deformable_transformer}.py` and
///   `models/ops/modules/ms_deform_attn.py` of fundamentalvision/Deformable-DETR; `resnet.py` of torchvision;
///   `torch.nn.{Linear,Embedding}.reset_parameters`.
public struct InitialParameters: Sendable {
    /// A tensor's name and shape, outermost axis first.
    public struct Description: Sendable, Hashable {
        public let name: String
        public let shape: Shape
    }

    /// All tensors of the model by their official names, in the network's order, batch normalisation's statistics among them.
    public let parameters: TensorDictionary
    /// What came from the checkpoint.
    public private(set) var taken: [Description] = []
    /// What the checkpoint has not, or in another shape.
    public private(set) var initialized: [Description] = []
    /// What the checkpoint has and the model cannot use, with the checkpoint's shapes.
    public private(set) var ignored: [Description] = []

    /// Starts from a seed alone.
    ///
    /// - Throws: `DeformableAttentionError` for a configuration that no attention has.
    public init(_ configuration: Configuration, seed: UInt64) throws {
        try self.init(configuration, seed: seed, completing: TensorDictionary())
    }

    /// Takes from `source` what fits by name and shape, and initialises the rest.
    ///
    /// - Parameters:
    ///   - configuration: of the model.
    ///   - seed: decides all that is random.
    ///   - source: tensors under the official names, a part of the model's or others: `ModelFile.source`, or `PartialWeights` of a
    ///     backbone's file.
    /// - Throws: `CheckpointError` when a tensor that fits is damaged or not finite, `DeformableAttentionError` for a
    ///   configuration that no attention has.
    public init(_ configuration: Configuration, seed: UInt64, completing source: some TensorSource) throws {
        let cursor = WeightCursor(source)
        var initialization = Initialization(configuration: configuration, seed: seed)
        var parameters = TensorDictionary(origin: source.origin)
        for tensor in configuration.tensors {
            let description = Description(name: tensor.name, shape: tensor.shape)
            if source.shape(of: tensor.name) == tensor.shape {
                parameters[tensor.name] = try cursor.tensor(tensor.name, tensor.shape)
                taken.append(description)
            } else {
                parameters[tensor.name] = try initialization.tensor(tensor.name, tensor.shape)
                initialized.append(description)
            }
        }
        self.parameters = parameters
        ignored = cursor.unusedNames.map { Description(name: $0, shape: source.shape(of: $0) ?? []) }
    }
}

/// The initial value of each tensor of a model.
private struct Initialization {
    let configuration: Configuration
    let seed: UInt64
    /// Of all tensors.
    private let shapes: [String: Shape]
    /// The attention whose tensors were asked for last: they come one after the other.
    private var attention: (path: String, parameters: TensorDictionary)?

    /// The logit of the probability that a query shows an object of a class at first, 0.01 (arXiv 1708.02002, section 3.3).
    private static let classBias = Float(-log(99.0))
    /// The box heads' first guess of an extent, as a logit: 0.12 of the image.
    private static let extentBias: Float = -2

    init(configuration: Configuration, seed: UInt64) {
        self.configuration = configuration
        self.seed = seed
        shapes = Dictionary(configuration.tensors.map { ($0.name, $0.shape) }) { first, _ in first }
    }

    mutating func tensor(_ name: String, _ shape: Shape) throws -> Tensor {
        if name.hasPrefix("backbone.") { return backbone(name, shape) }
        if let value = try deformableAttention(name) {
            precondition(value.shape == shape, "'\(name)': initial value \(value.shape), expected \(shape)")
            return value
        }
        let parts = name.split(separator: ".").map(String.init)
        if ["class_embed", "bbox_embed"].contains(parts[0]), parts.count > 2 { return head(name, parts, shape) }
        if name == "query_embed.weight" || name == "transformer.level_embed" {
            var generator = SeededGenerator(seed: seed, name: name)
            return generator.normal(shape, deviation: 1)
        }
        let layer = parts.dropLast().last ?? ""
        if layer.hasPrefix("norm") || layer.hasSuffix("_norm") || parts[0] == "input_proj" && layer == "1" {
            return Tensor(shape, repeating: parts.last == "weight" ? 1 : 0)
        }
        // Projections of the feature levels and in the transformer.
        if shape.rank > 1 { return xavierUniform(name, shape) }
        let isZero = parts[0] == "input_proj" || layer == "reference_points" || name.contains(".self_attn.")
        return isZero ? Tensor(shape) : defaultUniform(name, shape, of: name)
    }

    /// Convolutions as in "Delving Deep into Rectifiers" (arXiv 1502.01852) by fan-out; normalisation is the identity.
    private func backbone(_ name: String, _ shape: Shape) -> Tensor {
        guard shape.rank == 4 else {
            return Tensor(shape, repeating: name.hasSuffix(".weight") || name.hasSuffix(".running_var") ? 1 : 0)
        }
        var generator = SeededGenerator(seed: seed, name: name)
        let fanOut = shape[0] * shape[2] * shape[3]
        return generator.normal(shape, deviation: (2 / Double(fanOut)).squareRoot())
    }

    /// The attention's own initial values; nil for tensors of other layers.
    private mutating func deformableAttention(_ name: String) throws -> Tensor? {
        let parts = [".sampling_offsets.", ".attention_weights.", ".value_proj.", ".output_proj."]
        guard let part = parts.lazy.compactMap({ name.range(of: $0) }).first else { return nil }
        let (path, rest) = (String(name[..<part.lowerBound]), String(name[part.lowerBound...].dropFirst()))
        if let attention, attention.path == path { return attention.parameters[rest] }
        var generator = SeededGenerator(seed: seed, name: path)
        let parameters = try MultiScaleDeformableAttention.initialParameters(
            width: configuration.modelWidth, heads: configuration.heads, levels: configuration.levels,
            points: name.contains(".encoder.") ? configuration.encoderPoints : configuration.decoderPoints,
            using: &generator)
        attention = (path, parameters)
        return parameters[rest]
    }

    /// A tensor of `class_embed.N` or `bbox_embed.N`. The heads of all layers begin as copies of one.
    private func head(_ name: String, _ parts: [String], _ shape: Shape) -> Tensor {
        let isFirst = parts[1] == "0"
        switch parts.dropFirst(2).joined(separator: ".") {
        case "bias": return Tensor(shape, repeating: Self.classBias)
        case "layers.2.weight": return Tensor(shape)
        case "layers.2.bias":
            // With refinement the other layers correct the first one's box; two-stage corrects the proposals.
            let extent = isFirst && !configuration.twoStage ? Self.extentBias : 0
            return Tensor(shape, [0, 0, extent, extent])
        case let rest: return defaultUniform("\(parts[0]).\(rest)", shape, of: name)
        }
    }

    /// Evenly within sqrt(6 / (fan-in + fan-out)) (Glorot and Bengio, 2010).
    private func xavierUniform(_ name: String, _ shape: Shape) -> Tensor {
        var generator = SeededGenerator(seed: seed, name: name)
        let kernel = shape.dimensions.dropFirst(2).reduce(1, *)
        return generator.uniform(shape, bound: (6 / Double((shape[0] + shape[1]) * kernel)).squareRoot())
    }

    /// PyTorch's default of a linear layer, weight and bias: evenly within 1 / sqrt(fan-in).
    ///
    /// - Parameters:
    ///   - sequence: the name that fixes the random numbers.
    ///   - name: `PATH.weight` or `PATH.bias`.
    private func defaultUniform(_ sequence: String, _ shape: Shape, of name: String) -> Tensor {
        var generator = SeededGenerator(seed: seed, name: sequence)
        let weight = name.hasSuffix(".bias") ? shapes[name.dropLast("bias".count) + "weight"] : shape
        return generator.uniform(shape, bound: 1 / Double(max(1, weight?.last ?? 1)).squareRoot())
    }
}
