import AttentionCases
import Checkpoint
import DeformableAttention
import Layers
import Tensors

/// One run of a case, its weights and inputs already in memory: gives `output`, and after a backward pass
/// `gradient.<input>` and `gradient.<parameter>` too.
typealias Computation = () throws -> TensorDictionary

/// - Throws: what reading the case throws, and what its module finds wrong.
func computation(of test: AttentionCase, backward: Bool) throws -> Computation {
    switch test.module {
    case .grid(let configuration): try gridComputation(of: test, configuration, backward: backward)
    case .multiScale(let width, let heads, let points, let layout):
        try multiScaleComputation(
            of: test, width: width, heads: heads, points: points, layout: layout, backward: backward)
    case .sampling(let sampling, let layout):
        try samplingComputation(of: test, sampling, layout: layout, backward: backward)
    }
}

private func gridComputation(
    of test: AttentionCase, _ configuration: DeformableMultiHeadAttention.Configuration, backward: Bool
) throws -> Computation {
    let attention = try DeformableMultiHeadAttention(WeightCursor(test.file), configuration: configuration)
    let anyExtents = [Int?](repeating: nil, count: configuration.rank + 1)
    let input = try test.input("input", anyExtents + [configuration.width])
    guard backward else { return { TensorDictionary(["output": try attention(input)]) } }
    let outputGradient = try test.input("output_gradient", input.shape.dimensions)
    return {
        let (output, pullback) = try attention.withPullback(input, dropoutSeed: nil)
        var gradients = Gradients()
        let inputGradient = pullback(outputGradient, &gradients)
        return results(output: output, inputs: ["input": inputGradient], parameters: gradients)
    }
}

private func multiScaleComputation(
    of test: AttentionCase, width: Int, heads: Int, points: Int, layout: LevelLayout, backward: Bool
) throws -> Computation {
    let attention = try MultiScaleDeformableAttention(
        WeightCursor(test.file), width: width, heads: heads, levels: layout.levels, points: points)
    let query = try test.input("query", [nil, nil, width])
    let (images, queries) = (query.shape[0], query.shape[1])
    let references = try test.input("reference_points", [images, queries, layout.levels, 2])
    let source = FeatureSequence(
        values: try test.input("value", [images, layout.count, width]), layout: layout,
        validSizes: Array(repeating: layout.sizes, count: images))
    guard backward else {
        return { TensorDictionary(["output": try attention(query: query, references: references, source: source)]) }
    }
    let outputGradient = try test.input("output_gradient", [images, queries, width])
    return {
        let (output, pullback) = try attention.withPullback(query: query, references: references, source: source)
        var gradients = Gradients()
        let inner = pullback(outputGradient, &gradients)
        return results(
            output: output,
            inputs: ["query": inner.query, "value": inner.source, "reference_points": inner.references],
            parameters: gradients)
    }
}

private func samplingComputation(
    of test: AttentionCase, _ sampling: DeformableSampling, layout: LevelLayout, backward: Bool
) throws -> Computation {
    let samples = sampling.heads * layout.levels * sampling.points
    let projections = try test.input("projections", [nil, nil, 3 * samples])
    let (images, queries) = (projections.shape[0], projections.shape[1])
    let width = sampling.heads * sampling.headWidth
    let value = try test.input("value", [images, layout.count, width])
    let references = try test.input("reference_points", [images, queries, layout.levels, 2])
    guard backward else {
        return {
            TensorDictionary([
                "output": sampling(value: value, layout: layout, projections: projections, references: references)
            ])
        }
    }
    let outputGradient = try test.input("output_gradient", [images, queries, width])
    return {
        let (output, pullback) = sampling.withPullback(
            value: value, layout: layout, projections: projections, references: references)
        let inner = pullback(outputGradient)
        return results(
            output: output,
            inputs: [
                "value": inner.value, "projections": inner.projections, "reference_points": inner.references,
            ], parameters: Gradients())
    }
}

private func results(
    output: Tensor, inputs: KeyValuePairs<String, Tensor>, parameters: Gradients
) -> TensorDictionary {
    var results = TensorDictionary(["output": output])
    for (name, gradient) in inputs { results["gradient.\(name)"] = gradient }
    for name in parameters.names { results["gradient.\(name)"] = parameters[name] }
    return results
}
