import Checkpoint
import DeformableAttention
import Layers
import TestSupport
import Tensors
import Testing

/// The tiled attention core of the grid attention against the plain one, which is the definition.
@Suite struct BiasedAttentionTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var images = 2
        var heads = 4
        var headWidth = 8
        var groups = 2
        var rank = 2
        var hiddenWidth = 24
        var queries = 35
        var keys = 9
        var usesLogDistance = true

        var testDescription: String {
            "\(images) images, \(heads) heads of \(headWidth) in \(groups) groups, rank \(rank), \(hiddenWidth) hidden, "
                + "\(queries) queries, \(keys) keys\(usesLogDistance ? "" : ", plain distance")"
        }
    }

    static let cases = [
        Case(), Case(heads: 1, headWidth: 1, groups: 1, hiddenWidth: 1, queries: 1, keys: 1),
        Case(rank: 1, usesLogDistance: false), Case(heads: 6, headWidth: 5, groups: 2, rank: 3, hiddenWidth: 17),
        Case(images: 1, heads: 3, groups: 3, hiddenWidth: 16, queries: 7, keys: 1),
        // More pairs than a tile of the hidden layers takes, in a tile of the attention.
        Case(images: 1, heads: 2, headWidth: 3, groups: 1, hiddenWidth: 8, queries: 70, keys: 61),
        Case(images: 1, heads: 2, headWidth: 4, groups: 2, rank: 1, hiddenWidth: 33, queries: 3, keys: 2100),
    ]

    /// A case's random operands and parameters, as tensors and for the plain version.
    private struct Setting {
        let names = ["mlp.0.0.weight", "mlp.0.0.bias", "mlp.1.0.weight", "mlp.1.0.bias", "mlp.2.weight", "mlp.2.bias"]
        let operands: BiasedAttention.Operands
        let parameters: [Tensor]
        let plain: PlainBiasedAttention
        let attention: BiasedAttention
        let images: Int

        init(_ test: Case, seed: UInt64) throws {
            var random = SeededGenerator(seed: seed)
            let width = test.heads * test.headWidth
            let outputs = test.heads / test.groups
            operands = BiasedAttention.Operands(
                queries: random.tensor([test.images, test.queries, width], in: -2...2),
                keys: random.tensor([test.images, test.keys, width], in: -2...2),
                values: random.tensor([test.images, test.keys, width]),
                queryPositions: random.tensor([test.queries, test.rank]),
                keyPositions: random.tensor([test.images, test.groups, test.keys, test.rank], in: -1.5...1.5))
            let hidden = test.hiddenWidth
            let reach = 1 / Float(hidden).squareRoot()
            parameters = [
                random.tensor([hidden, test.rank], in: -2...2), random.tensor([hidden]),
                random.tensor([hidden, hidden], in: -2 * reach...2 * reach), random.tensor([hidden]),
                random.tensor([outputs, hidden], in: -2 * reach...2 * reach), random.tensor([outputs]),
            ]
            plain = PlainBiasedAttention(
                heads: test.heads, headWidth: test.headWidth, groups: test.groups, rank: test.rank,
                hiddenWidth: hidden, usesLogDistance: test.usesLogDistance,
                parameters: parameters.map { $0.elements.map(Double.init) })
            var source = TensorDictionary()
            for (name, tensor) in zip(names, parameters) { source[name] = tensor }
            attention = try BiasedAttention(
                WeightCursor(source), heads: test.heads, headWidth: test.headWidth, groups: test.groups,
                rank: test.rank, hiddenWidth: hidden, usesLogDistance: test.usesLogDistance)
            images = test.images
        }

        /// The arrays that the output depends on: queries, keys, values, key positions, then the parameters.
        var point: [[Double]] {
            [operands.queries, operands.keys, operands.values, operands.keyPositions].map {
                $0.elements.map(Double.init)
            } + plain.parameters
        }

        func output(at point: [[Double]]) -> [Double] {
            var plain = plain
            plain.parameters = Array(point[4...])
            return plain(
                images: images, queries: point[0], keys: point[1], values: point[2],
                queryPositions: operands.queryPositions.elements.map(Double.init), keyPositions: point[3])
        }
    }

    /// Single precision over sums of tens of terms: a few units in the last place.
    @Test(arguments: cases) func agreesWithTheDefinition(test: Case) throws {
        let setting = try Setting(test, seed: 31)
        let expected = Tensor(setting.operands.queries.shape, setting.output(at: setting.point).map(Float.init))
        #expect(relativeError(setting.attention(setting.operands), expected) < 1e-5)
    }

    /// Every third gradient element of everything against central differences in Double.
    @Test(arguments: cases.dropLast(2)) func backwardAgreesWithFiniteDifferences(test: Case) throws {
        let setting = try Setting(test, seed: 32)
        var random = SeededGenerator(seed: 33)
        let outputGradient = random.tensor(setting.operands.queries.shape)
        let direction = outputGradient.elements.map(Double.init)
        var gradients = Gradients()
        let result = setting.attention.withPullback(setting.operands, dropout: nil).pullback(outputGradient, &gradients)
        let actual =
            [result.queries, result.keys, result.values, result.keyPositions]
            + (try setting.names.map { try #require(gradients[$0]) })
        let point = setting.point
        for (place, tensor) in actual.enumerated() {
            let indices = Array(stride(from: 0, to: point[place].count, by: point[place].count > 60 ? 7 : 1))
            let expected = finiteDifferences(at: point[place], indices: indices) { moved in
                var point = point
                point[place] = moved
                return zip(setting.output(at: point), direction).reduce(0) { $0 + $1.0 * $1.1 }
            }
            let elements = tensor.elements
            let chosen = Tensor([indices.count], indices.map { elements[$0] })
            // A shift of all keys' scores cancels in the softmax: the last bias's gradient is 0 but for rounding.
            if place == 9 {
                #expect(chosen.elements.allSatisfy { abs($0) < 1e-4 })
            } else {
                #expect(
                    relativeError(chosen, Tensor([indices.count], indices.map { Float(expected[$0]) })) < 1e-4,
                    "operand or parameter \(place)")
            }
        }
    }

    @Test func threadsDoNotChangeTheResult() throws {
        let setting = try Setting(Self.cases[5], seed: 34)
        var random = SeededGenerator(seed: 35)
        let outputGradient = random.tensor(setting.operands.queries.shape)
        let dropout = Dropout(probability: 0.25, seed: 7)
        let results = [1, 2, 5].map { threads in
            Parallel.withThreadCount(threads) {
                var gradients = Gradients()
                let (output, pullback) = setting.attention.withPullback(setting.operands, dropout: dropout)
                let result = pullback(outputGradient, &gradients)
                return [output, result.queries, result.keys, result.values, result.keyPositions].map(\.elements)
                    + gradients.names.compactMap { gradients[$0]?.elements }
            }
        }
        #expect(results[0].count == 11 && results[0] == results[1] && results[0] == results[2])
    }

    /// Dropout leaves an unbiased estimate, and its backward is that of the same choice of weights: moving the values along
    /// a direction changes the output, linear in them, by what the gradient says.
    @Test func dropoutIsUnbiasedAndItsBackwardSeesTheSameChoice() throws {
        let setting = try Setting(Case(images: 1, queries: 20, keys: 30), seed: 36)
        let expected = setting.attention(setting.operands)
        var mean = Tensor(expected.shape)
        let rounds = 400
        for seed in 0..<rounds {
            let dropout = Dropout(probability: 0.3, seed: UInt64(seed))
            mean = mean.adding(setting.attention(setting.operands, dropout: dropout))
        }
        mean = Tensor(mean.shape, mean.elements.map { $0 / Float(rounds) })
        #expect(relativeError(mean, expected) < 0.12)

        let dropout = Dropout(probability: 0.3, seed: 5)
        var random = SeededGenerator(seed: 37)
        let outputGradient = random.tensor(expected.shape)
        var gradients = Gradients()
        let (output, pullback) = setting.attention.withPullback(setting.operands, dropout: dropout)
        let result = pullback(outputGradient, &gradients)
        #expect(output.elements != expected.elements)
        func dot(_ left: Tensor, _ right: Tensor) -> Float {
            zip(left.elements, right.elements).reduce(0) { $0 + $1.0 * $1.1 }
        }
        #expect(abs(dot(result.values, setting.operands.values) - dot(outputGradient, output)) < 1e-3)
        // The scores' gradient sees the same choice too: one query's step against a difference quotient.
        let step: Float = 1e-2
        var moved = setting.operands
        let direction = random.tensor(moved.queries.shape)
        moved.queries = moved.queries.adding(Tensor(direction.shape, direction.elements.map { $0 * step }))
        let above = dot(outputGradient, setting.attention(moved, dropout: dropout))
        moved.queries = setting.operands.queries.adding(Tensor(direction.shape, direction.elements.map { $0 * -step }))
        let below = dot(outputGradient, setting.attention(moved, dropout: dropout))
        let expectedSlope = (above - below) / (2 * step)
        #expect(abs(dot(result.queries, direction) - expectedSlope) < 0.02 * max(1, abs(expectedSlope)))
    }
}
