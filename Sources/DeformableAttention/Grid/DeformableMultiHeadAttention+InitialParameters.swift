import Checkpoint
import Tensors

extension DeformableMultiHeadAttention {
    /// Fresh parameters under the package's names, drawn as PyTorch draws those of its layers: weights and biases evenly from
    /// `-1 / sqrt(f)...1 / sqrt(f)`, where f is the number of inputs that an output of the layer sees. In 3-D the offset scale is
    /// among them.
    ///
    /// - Throws: ``DeformableAttentionError/configuration(_:)``.
    /// - Source: `torch.nn.Linear.reset_parameters` and `torch.nn.modules.conv._ConvNd.reset_parameters`.
    public static func initialParameters(
        configuration: Configuration, using generator: inout some RandomNumberGenerator
    ) throws -> TensorDictionary {
        try configuration.validate()
        var parameters = TensorDictionary(origin: "initial parameters")
        for layer in configuration.layers {
            let inputs = layer.weightShape.dimensions.dropFirst().reduce(1, *)
            let bound = 1 / Float(inputs).squareRoot()
            func drawn(_ shape: Shape) -> Tensor {
                Tensor(shape) { elements in
                    for index in elements.indices { elements[index] = .random(in: -bound...bound, using: &generator) }
                }
            }
            parameters[layer.path + ".weight"] = drawn(layer.weightShape)
            if layer.hasBias { parameters[layer.path + ".bias"] = drawn([layer.weightShape[0]]) }
        }
        if configuration.rank == 3 { parameters["to_offsets.4.scale"] = Tensor([3], configuration.offsetScale) }
        return parameters
    }
}

extension DeformableMultiHeadAttention.Configuration {
    /// A layer of the package's module; weights are `[output channels, input channels of an output, kernel...]`.
    fileprivate struct Layer {
        var path: String
        var weightShape: Shape
        var hasBias = true
    }

    fileprivate var layers: [Layer] {
        let onePosition = Array(repeating: 1, count: rank)
        let groupWidth = innerWidth / offsetGroups
        let queryInputs = groupsQueries ? width / offsetGroups : width
        let sampleInputs = groupsKeysAndValues ? width / offsetGroups : width
        return [
            Layer(path: "to_offsets.0", weightShape: Shape([groupWidth, 1] + offsetKernel)),
            Layer(path: "to_offsets.2", weightShape: Shape([rank, groupWidth] + onePosition), hasBias: false),
            Layer(path: "rel_pos_bias.mlp.0.0", weightShape: [biasWidth, rank]),
            Layer(path: "rel_pos_bias.mlp.1.0", weightShape: [biasWidth, biasWidth]),
            Layer(path: "rel_pos_bias.mlp.2", weightShape: [heads / offsetGroups, biasWidth]),
            Layer(path: "to_q", weightShape: Shape([innerWidth, queryInputs] + onePosition), hasBias: false),
            Layer(path: "to_k", weightShape: Shape([innerWidth, sampleInputs] + onePosition), hasBias: false),
            Layer(path: "to_v", weightShape: Shape([innerWidth, sampleInputs] + onePosition), hasBias: false),
            Layer(path: "to_out", weightShape: Shape([width, innerWidth] + onePosition)),
        ]
    }
}
