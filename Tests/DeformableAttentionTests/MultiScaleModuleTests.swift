import DeformableAttention
import Foundation
import TestSupport
import Testing

/// What the modules promise beyond the reference's numbers: a fresh start, one level, threads, nothing to do.
@Suite struct MultiScaleModuleTests {
    private static let layout = LevelLayout([ValidSize(height: 5, width: 7), ValidSize(height: 2, width: 3)])

    /// A module of 12 channels, 3 heads, 2 levels and 2 points with all parameters random.
    private func attention(_ random: inout SeededGenerator) throws -> MultiScaleDeformableAttention {
        var parameters = TensorDictionary()
        for (name, rows) in [
            ("sampling_offsets", 24), ("attention_weights", 12), ("value_proj", 12), ("output_proj", 12),
        ] {
            parameters["\(name).weight"] = random.tensor([rows, 12], in: -0.5...0.5)
            parameters["\(name).bias"] = random.tensor([rows])
        }
        return try MultiScaleDeformableAttention(
            WeightCursor(parameters), width: 12, heads: 3, levels: 2, points: 2)
    }

    private func source(images: Int, _ random: inout SeededGenerator) -> FeatureSequence {
        FeatureSequence(values: random.tensor([images, Self.layout.count, 12]), layout: Self.layout)
    }

    @Test func threadsDoNotChangeTheGradients() throws {
        var random = SeededGenerator(seed: 41)
        let attention = try attention(&random)
        let source = source(images: 2, &random)
        let query = random.tensor([2, 40, 12])
        let references = random.tensor([2, 40, 2, 4], in: 0...1)
        let outputGradient = random.tensor([2, 40, 12])
        let results = try [1, 2, 3].map { threads in
            try Parallel.withThreadCount(threads) {
                let (output, pullback) = try attention.withPullback(
                    query: query, references: references, source: source)
                var gradients = Gradients()
                let inputs = pullback(outputGradient, &gradients)
                let parameters = gradients.names.compactMap { gradients[$0]?.elements }
                return [output, inputs.query, inputs.references, inputs.source].map(\.elements) + parameters
            }
        }
        #expect(results[0].count == 12)
        #expect(results[0] == results[1] && results[0] == results[2])
    }

    /// Equation 2 is equation 3 with one level, and a feature map is a sequence of one level.
    @Test func singleScaleIsOneLevel() throws {
        var random = SeededGenerator(seed: 42)
        let parameters = try SingleScaleDeformableAttention.initialParameters(
            width: 8, heads: 2, points: 3, using: &random)
        let cursor = WeightCursor(parameters)["attention"]
        #expect(throws: CheckpointError.self) {
            try SingleScaleDeformableAttention(cursor, width: 8, heads: 2, points: 3)
        }
        let single = try SingleScaleDeformableAttention(WeightCursor(parameters), width: 8, heads: 2, points: 3)
        let multiple = try MultiScaleDeformableAttention(
            WeightCursor(parameters), width: 8, heads: 2, levels: 1, points: 3)
        let features = random.tensor([2, 4, 6, 8])
        let query = random.tensor([2, 5, 8])
        let references = random.tensor([2, 5, 2], in: 0...1)
        let outputGradient = random.tensor([2, 5, 8])
        let source = FeatureSequence(
            values: features.reshaped([2, 24, 8]), layout: LevelLayout([ValidSize(height: 4, width: 6)]))

        var (singleGradients, multipleGradients) = (Gradients(), Gradients())
        let (output, pullback) = try single.withPullback(query: query, references: references, features: features)
        let (expected, expectedPullback) = try multiple.withPullback(
            query: query, references: references.reshaped([2, 5, 1, 2]), source: source)
        #expect(output.elements == expected.elements)
        #expect(try single(query: query, references: references, features: features).elements == expected.elements)
        let inputs = pullback(outputGradient, &singleGradients)
        let expectedInputs = expectedPullback(outputGradient, &multipleGradients)
        #expect(inputs.query.elements == expectedInputs.query.elements)
        #expect(inputs.references.shape == references.shape)
        #expect(inputs.references.elements == expectedInputs.references.elements)
        #expect(inputs.features.shape == features.shape)
        #expect(inputs.features.elements == expectedInputs.source.elements)
        #expect(singleGradients.names == multipleGradients.names)
    }

    /// The authors' first values: heads in eight directions on a square's edge, points farther and farther out.
    @Test func startsAsTheAuthorsDo() throws {
        var random = SeededGenerator(seed: 43)
        let parameters = try MultiScaleDeformableAttention.initialParameters(
            width: 48, heads: 8, levels: 2, points: 3, using: &random)
        #expect(
            parameters.names == [
                "sampling_offsets.weight", "sampling_offsets.bias", "attention_weights.weight",
                "attention_weights.bias",
                "value_proj.weight", "value_proj.bias", "output_proj.weight", "output_proj.bias",
            ])
        let bias = try parameters.tensor("sampling_offsets.bias").elements
        let directions: [(Float, Float)] = [(1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1)]
        for (head, direction) in directions.enumerated() {
            for sample in 0..<6 {
                let (index, step) = ((head * 6 + sample) * 2, Float(sample % 3 + 1))
                #expect(abs(bias[index] - direction.0 * step) < 1e-6)
                #expect(abs(bias[index + 1] - direction.1 * step) < 1e-6)
            }
        }
        for name in parameters.names where name != "sampling_offsets.bias" && !name.hasSuffix("proj.weight") {
            let parameter = try parameters.tensor(name)
            #expect(parameter.elements.allSatisfy { $0 == 0 })
        }
        // 2,304 numbers spread evenly up to the bound nearly reach it, and their mean is near 0.
        let bound = Float(6.0 / 96).squareRoot()
        for name in ["value_proj.weight", "output_proj.weight"] {
            let weight = try parameters.tensor(name).elements
            let largest = try #require(weight.map(abs).max())
            #expect(largest <= bound && largest > 0.98 * bound)
            #expect(abs(weight.reduce(0, +) / Float(weight.count)) < 0.05 * bound)
        }
        #expect(parameters["value_proj.weight"]?.elements != parameters["output_proj.weight"]?.elements)
    }

    /// No image, no query, no location: empty results or the output projection's bias, and gradients of zero.
    @Test(arguments: [(0, 3, 12), (2, 0, 12), (0, 0, 12), (2, 3, 0)])
    func nothingToDo(images: Int, queries: Int, locations: Int) throws {
        var random = SeededGenerator(seed: 44)
        let attention = try attention(&random)
        let layout = LevelLayout([
            ValidSize(height: locations / 4, width: 3), ValidSize(height: 0, width: locations),
        ])
        let source = FeatureSequence(values: random.tensor([images, layout.count, 12]), layout: layout)
        let (output, pullback) = try attention.withPullback(
            query: random.tensor([images, queries, 12]), references: random.tensor([images, queries, 2, 2]),
            source: source)
        #expect(output.shape == [images, queries, 12])
        var gradients = Gradients()
        let inputs = pullback(Tensor([images, queries, 12], repeating: 1), &gradients)
        #expect(inputs.query.shape == [images, queries, 12])
        #expect(inputs.references.shape == [images, queries, 2, 2])
        #expect(inputs.source.shape == source.values.shape)
        #expect(gradients.names.count == 8)
        for gradient in [inputs.query, inputs.references, inputs.source] {
            #expect(gradient.elements.allSatisfy { $0 == 0 })
        }
        for name in gradients.names where name != "output_proj.bias" {
            let gradient = try #require(gradients[name])
            #expect(gradient.elements.allSatisfy { $0 == 0 })
        }
    }
}
