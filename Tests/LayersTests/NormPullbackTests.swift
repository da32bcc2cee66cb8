import Checkpoint
import Layers
import TestSupport
import Tensors
import Testing

/// The backward of norms and of max-pooling against plain loops in Double.
@Suite struct NormPullbackTests {
    /// Where the pixels of padded images lie in `[N, H, W]`.
    private static func places(_ sizes: [ValidSize], height: Int, width: Int) -> [[Int]] {
        sizes.enumerated().map { image, size in
            (0..<size.height).flatMap { row in (0..<size.width).map { (image * height + row) * width + $0 } }
        }
    }

    /// Normalises `values[members]` and returns the gradients: `y = gain x' + bias`, each element with its own gain.
    ///
    /// `dx = (gain dy - mean(gain dy) - x' mean(gain dy x')) / deviation`, by the chain rule through mean and variance.
    private static func normalized(
        _ values: [Double], gains: [Double], gradients: [Double]
    ) -> (normalized: [Double], inputGradients: [Double], mean: Double, variance: Double) {
        let count = Double(values.count)
        let mean = values.reduce(0, +) / count
        let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count
        let deviation = (variance + 1e-5).squareRoot()
        let normalized = values.map { ($0 - mean) / deviation }
        let scaled = zip(gains, gradients).map(*)
        let meanGradient = scaled.reduce(0, +) / count
        let meanProduct = zip(scaled, normalized).map(*).reduce(0, +) / count
        let inputs = zip(scaled, normalized).map { ($0 - meanGradient - $1 * meanProduct) / deviation }
        return (normalized, inputs, mean, variance)
    }

    @Test(arguments: [
        [ValidSize(height: 5, width: 7), ValidSize(height: 5, width: 7)],
        [ValidSize(height: 5, width: 4), ValidSize(height: 3, width: 7)],
        [ValidSize(height: 1, width: 1), ValidSize(height: 2, width: 1)],
    ])
    func groupNormAgreesWithTheDefinition(sizes: [ValidSize]) throws {
        var random = SeededGenerator(seed: 26)
        let (groups, channels, length) = (3, 12, 50)
        let (gain, bias) = (random.tensor([channels]), random.tensor([channels]))
        let source = TensorDictionary(["norm.weight": gain, "norm.bias": bias])
        let norm = try GroupNorm(WeightCursor(source)["norm"], groups: groups, channels: channels)
        let map = FeatureMap(values: random.tensor([2, 5, 7, channels], in: -2...6), validSizes: sizes)
        var (sequence, again) = (Tensor([2, length, channels]), Tensor([2, length, channels]))
        norm(map, into: &sequence, at: 10)
        let pullback = norm.withPullback(map, into: &again, at: 10)
        #expect(again.elements == sequence.elements)
        let sequenceGradient = random.tensor(sequence.shape)
        var gradients = Gradients()
        let inputGradient = pullback(sequenceGradient, &gradients)

        let (x, dy, g) = (map.values.elements, sequenceGradient.elements, gain.elements)
        var expected = [Double](repeating: 0, count: x.count)
        var expectedGain = [Double](repeating: 0, count: channels)
        var expectedBias = expectedGain
        for (image, pixels) in Self.places(sizes, height: 5, width: 7).enumerated() {
            for group in 0..<groups {
                let members = pixels.flatMap { pixel in (group * 4..<(group + 1) * 4).map { (pixel, $0) } }
                let slopes = members.map { pixel, channel in
                    Double(dy[(image * length + 10 + pixel - image * 35) * channels + channel])
                }
                let result = Self.normalized(
                    members.map { Double(x[$0 * channels + $1]) }, gains: members.map { Double(g[$1]) },
                    gradients: slopes)
                for (index, (pixel, channel)) in members.enumerated() {
                    expected[pixel * channels + channel] = result.inputGradients[index]
                    expectedGain[channel] += slopes[index] * result.normalized[index]
                    expectedBias[channel] += slopes[index]
                }
            }
        }
        #expect(relativeError(inputGradient, Tensor(map.values.shape, expected.map(Float.init))) < 1e-5)
        let gainGradient = try #require(gradients["norm.weight"])
        #expect(relativeError(gainGradient, Tensor([channels], expectedGain.map(Float.init))) < 1e-5)
        let biasGradient = try #require(gradients["norm.bias"])
        #expect(relativeError(biasGradient, Tensor([channels], expectedBias.map(Float.init))) < 1e-5)
    }

    private static func batchNorm(channels: Int, _ random: inout SeededGenerator) throws -> (
        BatchNorm, TensorDictionary
    ) {
        let source = TensorDictionary([
            "norm.weight": random.tensor([channels]), "norm.bias": random.tensor([channels]),
            "norm.running_mean": random.tensor([channels]),
            "norm.running_var": random.tensor([channels], in: 0.5...2),
        ])
        return (try BatchNorm(WeightCursor(source)["norm"], channels: channels), source)
    }

    @Test(
        arguments: [
            [ValidSize(height: 5, width: 7), ValidSize(height: 5, width: 7)],
            [ValidSize(height: 5, width: 4), ValidSize(height: 3, width: 7)],
            [ValidSize(height: 1, width: 1), ValidSize(height: 2, width: 1)],
        ], [Activation.none, .relu])
    func batchNormAgreesWithTheDefinition(sizes: [ValidSize], activation: Activation) throws {
        var random = SeededGenerator(seed: 27)
        let channels = 19
        let (norm, source) = try Self.batchNorm(channels: channels, &random)
        let map = FeatureMap(values: random.tensor([2, 5, 7, channels], in: -2...6), validSizes: sizes)
        let residual = random.tensor(map.values.shape)
        var statistics = BatchStatistics()
        let (output, pullback) = norm.withPullback(
            map, activation: activation, addingTo: residual, updating: &statistics)
        let outputGradient = random.tensor(map.values.shape)
        var gradients = Gradients()
        let (inputGradient, residualGradient) = pullback(outputGradient, &gradients)

        func parameter(_ name: String) throws -> [Double] {
            try source.tensor("norm.\(name)").elements.map(Double.init)
        }
        let (gain, bias) = (try parameter("weight"), try parameter("bias"))
        let (mean, variance) = (try parameter("running_mean"), try parameter("running_var"))
        let (x, r, y) = (map.values.elements, residual.elements, output.values.elements)
        let slopes = zip(outputGradient.elements, y).map { activation == .none || $1 > 0 ? Double($0) : 0 }
        var expected = [Double](repeating: 0, count: x.count)
        var (gains, biases, means, variances) = ([Double](), [Double](), [Double](), [Double]())
        let pixels = Self.places(sizes, height: 5, width: 7).flatMap { $0 }
        for channel in 0..<channels {
            let members = pixels.map { $0 * channels + channel }
            let result = Self.normalized(
                members.map { Double(x[$0]) }, gains: members.map { _ in gain[channel] },
                gradients: members.map { slopes[$0] })
            var sum = 0.0
            for (index, member) in members.enumerated() {
                let value = result.normalized[index] * gain[channel] + bias[channel] + Double(r[member])
                #expect(abs(Double(y[member]) - (activation == .relu ? max(0, value) : value)) < 1e-5)
                expected[member] = result.inputGradients[index]
                sum += slopes[member] * result.normalized[index]
            }
            gains.append(sum)
            biases.append(members.reduce(0) { $0 + slopes[$1] })
            means.append(0.9 * mean[channel] + 0.1 * result.mean)
            let unbiased = result.variance * Double(members.count) / Double(members.count - 1)
            variances.append(0.9 * variance[channel] + 0.1 * unbiased)
        }
        #expect(relativeError(inputGradient, Tensor(map.values.shape, expected.map(Float.init))) < 1e-5)
        #expect(residualGradient.elements == slopes.map(Float.init))
        for (name, expected) in [("weight", gains), ("bias", biases)] {
            let gradient = try #require(gradients["norm.\(name)"])
            #expect(relativeError(gradient, Tensor([channels], expected.map(Float.init))) < 1e-5)
        }
        #expect(statistics.names == ["norm.running_mean", "norm.running_var"])
        for (name, expected) in [("mean", means), ("var", variances)] {
            let actual = try #require(statistics["norm.running_\(name)"])
            #expect(relativeError(actual, Tensor([channels], expected.map(Float.init))) < 1e-6)
        }
    }

    /// One pixel has no variance: the output is the bias, no gradient passes, and the running variance stays.
    @Test func batchNormOfOnePixel() throws {
        var random = SeededGenerator(seed: 28)
        let (norm, source) = try Self.batchNorm(channels: 5, &random)
        var statistics = BatchStatistics()
        let (output, pullback) = norm.withPullback(
            FeatureMap(values: random.tensor([1, 1, 1, 5])), updating: &statistics)
        #expect(relativeError(output.values.reshaped([5]), try source.tensor("norm.bias")) < 1e-5)
        #expect(statistics["norm.running_var"]?.elements == (try source.tensor("norm.running_var").elements))
        var gradients = Gradients()
        #expect(pullback(random.tensor([1, 1, 1, 5]), &gradients).input.elements.allSatisfy { abs($0) < 1e-4 })
    }

    @Test func batchNormRefusesANegativeVariance() {
        var tensors = TensorDictionary()
        for name in ["weight", "bias", "running_mean"] { tensors["norm.\(name)"] = Tensor([2]) }
        tensors["norm.running_var"] = Tensor([2], [1, -1])
        let cursor = WeightCursor(tensors)["norm"]
        #expect { _ = try BatchNorm(cursor, channels: 2) } throws: {
            "\($0)".contains("norm.running_var[1]")
        }
    }

    /// Values repeat often, so that most windows have ties: the first largest in row-major order takes the gradient.
    @Test(arguments: [(1, 1), (2, 3), (8, 7), (9, 10)], [1, 16, 18]) func maxPoolGivesToTheFirstLargest(
        size: (height: Int, width: Int), channels: Int
    ) {
        var random = SeededGenerator(seed: 29)
        let (height, width) = size
        let sizes = [
            ValidSize(height: height, width: width),
            ValidSize(height: max(1, height - 3), width: max(1, width - 2)),
        ]
        let values = (0..<2 * height * width * channels).map { _ in Float(Int.random(in: 0...3, using: &random)) }
        let map = FeatureMap(values: Tensor([2, height, width, channels], values), validSizes: sizes)
        let (output, pullback) = MaxPool().withPullback(map)
        #expect(output.values.elements == MaxPool()(map).values.elements)
        let outputGradient = random.tensor(output.values.shape)
        var gradients = Gradients()
        let inputGradient = pullback(outputGradient, &gradients)

        let dy = outputGradient.elements
        var expected = [Double](repeating: 0, count: values.count)
        for (image, size) in sizes.enumerated() {
            for row in 0..<output.validSizes[image].height {
                for column in 0..<output.validSizes[image].width {
                    for channel in 0..<channels {
                        var best = -1
                        for y in max(0, 2 * row - 1)...min(size.height - 1, 2 * row + 1) {
                            for x in max(0, 2 * column - 1)...min(size.width - 1, 2 * column + 1) {
                                let place = ((image * height + y) * width + x) * channels + channel
                                if best < 0 || values[place] > values[best] { best = place }
                            }
                        }
                        let place = ((image * output.height + row) * output.width + column) * channels + channel
                        expected[best] += Double(dy[place])
                    }
                }
            }
        }
        #expect(relativeError(inputGradient, Tensor(map.values.shape, expected.map(Float.init))) < 1e-6)
    }

    /// Sums are formed in an order that does not depend on who forms them.
    @Test func threadsAgree() throws {
        var random = SeededGenerator(seed: 30)
        let channels = 24
        let (batchNorm, _) = try Self.batchNorm(channels: channels, &random)
        let groupNorm = try GroupNorm(
            WeightCursor(TensorDictionary(["norm.weight": random.tensor([24]), "norm.bias": random.tensor([24])]))[
                "norm"], groups: 8, channels: channels)
        let map = FeatureMap(values: random.tensor([2, 37, 41, channels], in: 0...2))
        let outputGradient = random.tensor(map.values.shape)
        let pooledGradient = random.tensor([2, 19, 21, channels])
        let runs = [1, 2, 3].map { threads in
            Parallel.withThreadCount(threads) { () -> [[Float]] in
                var statistics = BatchStatistics()
                var gradients = Gradients()
                var sequence = Tensor([2, 37 * 41, channels])
                let results = [
                    batchNorm.withPullback(map, updating: &statistics).pullback(outputGradient, &gradients).input,
                    groupNorm.withPullback(map, into: &sequence, at: 0)(
                        outputGradient.reshaped(sequence.shape), &gradients),
                    MaxPool().withPullback(map).pullback(pooledGradient, &gradients), sequence,
                ]
                return results.map(\.elements) + gradients.names.compactMap { gradients[$0]?.elements }
            }
        }
        #expect(runs[1] == runs[0] && runs[2] == runs[0])
    }
}
