import Checkpoint
import DeformableAttention
import Layers
import TestSupport
import Tensors
import Testing

/// The grid attention against its plain version, which is the definition: forward and backward.
@Suite struct GridAttentionTests {
    /// Single precision through five products: errors of 1e-6 in places and in outputs.
    @Test(arguments: GridAttentionCase.all) func agreesWithTheDefinition(test: GridAttentionCase) throws {
        let setting = try GridAttentionSetting(test.configuration, extents: test.extents, seed: 61)
        let plain = try DeformableMultiHeadAttention.Plain(setting.parameters, configuration: test.configuration)
        let expected = plain(setting.input.elements.map(Double.init), shape: setting.input.shape)
        let attention = try setting.attention()
        let (output, grid) = try attention.withSamplingGrid(setting.input)

        let sampled = zip(test.extents, test.configuration.downsampling).map { $0 / $1 }
        #expect(grid.shape == Shape([2, test.configuration.offsetGroups] + sampled + [test.configuration.rank]))
        #expect(relativeError(grid, Tensor(grid.shape, expected.grid.map(Float.init))) < 1e-5)
        #expect(output.shape == setting.input.shape)
        #expect(relativeError(output, Tensor(output.shape, expected.output.map(Float.init))) < 1e-5)
        #expect(try attention(setting.input).elements == output.elements)
        #expect(try attention.withPullback(setting.input, dropoutSeed: nil).output.elements == output.elements)
    }

    /// The gradient of `sum of direction * output` by the input and by every parameter, some elements of each, against central
    /// differences in Double.
    @Test(arguments: GridAttentionCase.all) func backwardAgreesWithFiniteDifferences(test: GridAttentionCase) throws {
        let setting = try GridAttentionSetting(test.configuration, extents: test.extents, images: 1, seed: 62)
        let plain = try DeformableMultiHeadAttention.Plain(setting.parameters, configuration: test.configuration)
        let shape = setting.input.shape
        var random = SeededGenerator(seed: 63)
        let outputGradient = random.tensor(shape)
        let direction = outputGradient.elements.map(Double.init)
        let point = setting.input.elements.map(Double.init)
        let samples = zip(test.extents, test.configuration.downsampling).reduce(1) { $0 * ($1.0 / $1.1) }
        func loss(_ plain: DeformableMultiHeadAttention.Plain, _ input: [Double]) -> Double {
            zip(plain(input, shape: shape).output, direction).reduce(0) { $0 + $1.0 * $1.1 }
        }
        func check(_ name: String, _ actual: Tensor, _ point: [Double], _ loss: ([Double]) -> Double) {
            let indices = Array(point.indices.shuffled(using: &random).prefix(12))
            let expected = finiteDifferences(at: point, indices: indices, of: loss)
            let elements = actual.elements
            let chosen = Tensor([indices.count], indices.map { elements[$0] })
            let expectedValues = Tensor([indices.count], indices.map { Float(expected[$0]) })
            // A shift of all scores cancels in the softmax, and with one sample the scores altogether: rounding remains.
            if name == "rel_pos_bias.mlp.2.bias"
                || samples == 1 && (name.hasPrefix("rel_pos") || name.hasPrefix("to_k"))
            {
                #expect(
                    expected.allSatisfy { abs($0) < 1e-6 } && chosen.elements.allSatisfy { abs($0) < 1e-4 }, "\(name)")
            } else {
                #expect(expected.contains { abs($0) > 1e-4 }, "\(name) has no influence")
                #expect(relativeError(chosen, expectedValues) < 1e-4, "\(name)")
            }
        }

        var gradients = Gradients()
        let (_, pullback) = try setting.attention().withPullback(setting.input, dropoutSeed: nil)
        check("input", pullback(outputGradient, &gradients), point) { loss(plain, $0) }
        let names = setting.parameters.names.filter { !$0.hasSuffix("scale") }
        #expect(gradients.names == names.sorted())
        for name in names {
            let gradient = try #require(gradients[name])
            #expect(gradient.shape == setting.parameters.shape(of: name))
            check(name, gradient, try #require(plain.parameters[name])) { moved in
                var plain = plain
                plain.parameters[name] = moved
                return loss(plain, point)
            }
        }
    }

    /// But for the last bits: below AVX-512 oneDNN's products share their sums among the threads.
    @Test func threadsDoNotChangeTheResult() throws {
        let configuration = GridAttentionSetting.configuration(rank: 2, width: 64, headWidth: 32, groups: 2) {
            $0.dropout = 0.2
        }
        let setting = try GridAttentionSetting(configuration, extents: [33, 40], seed: 64)
        let attention = try setting.attention()
        let results = try [1, 2, 5].map { threads in
            try Parallel.withThreadCount(threads) {
                var gradients = Gradients()
                let (output, pullback) = try attention.withPullback(setting.input, dropoutSeed: 1)
                let inputGradient = pullback(setting.input, &gradients)
                return [output, inputGradient, try attention(setting.input)]
                    + gradients.names.compactMap { gradients[$0] }
            }
        }
        #expect(results[0].count == 3 + 14)
        for other in results[1...] {
            for (index, (left, right)) in zip(results[0], other).enumerated() {
                // The gradient of the keys' bias is 0 but for rounding: softmax takes away what all keys have in common.
                let isZero = left.elements.allSatisfy { abs($0) < 1e-5 } && right.elements.allSatisfy { abs($0) < 1e-5 }
                #expect(isZero || relativeError(left, right) < 1e-5, "\(index)")
            }
        }
    }

    /// The output is linear in the attention weights, so that its mean over seeds approaches the one without dropout.
    @Test func dropoutRepeatsBySeedAndIsUnbiased() throws {
        let configuration = GridAttentionSetting.configuration(rank: 2, groups: 2) { $0.dropout = 0.3 }
        let setting = try GridAttentionSetting(configuration, extents: [9, 12], images: 1, seed: 65)
        let attention = try setting.attention()
        func output(seed: UInt64?) throws -> Tensor {
            try attention.withPullback(setting.input, dropoutSeed: seed).output
        }
        let undropped = try attention(setting.input)
        #expect(try output(seed: nil).elements == undropped.elements)
        let drawn = try output(seed: 5)
        #expect(try output(seed: 5).elements == drawn.elements)
        #expect(try output(seed: 6).elements != drawn.elements)
        let rounds = 600
        var sum = Tensor(undropped.shape)
        for seed in 0..<rounds { sum = sum.adding(try output(seed: UInt64(seed))) }
        let mean = Tensor(sum.shape, sum.elements.map { $0 / Float(rounds) })
        #expect(relativeError(mean, undropped) < 0.1)
        #expect(relativeError(drawn, undropped) > 0.1, "a single draw is not the mean")
    }

    @Test func noDropoutWithoutProbability() throws {
        let setting = try GridAttentionSetting(GridAttentionSetting.configuration(rank: 1), extents: [16], seed: 66)
        let attention = try setting.attention()
        let dropped = try attention.withPullback(setting.input, dropoutSeed: 3).output
        #expect(try dropped.elements == attention(setting.input).elements)
    }
}
