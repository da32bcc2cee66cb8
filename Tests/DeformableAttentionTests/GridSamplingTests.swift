import DeformableAttention
import TestSupport
import Tensors
import Testing

/// The n-linear sampler against its definition: every position of the map counts with the product over the axes of
/// `max(0, 1 - |distance|)`.
@Suite struct GridSamplingTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var extents: [Int]
        var axes: [Int]
        var groups = 2
        var width = 6
        var samples = 40
        var reach: Float = 1.4

        var testDescription: String { "\(extents) along \(axes), \(width) channels in \(groups) groups, to \(reach)" }
    }

    static let cases = [
        Case(extents: [9], axes: [0]), Case(extents: [1], axes: [0], groups: 1, width: 1),
        Case(extents: [5, 7], axes: [1, 0]), Case(extents: [5, 7], axes: [0, 1], groups: 3, width: 3),
        Case(extents: [1, 4], axes: [1, 0], width: 70), Case(extents: [3, 4, 5], axes: [2, 1, 0], width: 32),
        Case(extents: [3, 4, 5], axes: [0, 1, 2], groups: 1, width: 133), Case(extents: [2, 1, 1], axes: [2, 0, 1]),
        Case(extents: [6, 6], axes: [1, 0], reach: 300),
    ]

    private func plain(_ test: Case, _ input: [Double], _ locations: [Double]) -> [Double] {
        let images = 2
        let rank = test.extents.count
        let positions = test.extents.reduce(1, *)
        let groupWidth = test.width / test.groups
        var output: [Double] = []
        for image in 0..<images {
            for sample in 0..<test.samples {
                for channel in 0..<test.width {
                    let row = (image * test.groups + channel / groupWidth) * test.samples + sample
                    var sum = 0.0
                    for position in 0..<positions {
                        var share = 1.0
                        for (component, axis) in test.axes.enumerated() {
                            let extent = Double(test.extents[axis])
                            let index = position / test.extents[(axis + 1)...].reduce(1, *) % test.extents[axis]
                            let pixel = ((locations[row * rank + component] + 1) * extent - 1) / 2
                            share *= max(0, 1 - abs(pixel - Double(index)))
                        }
                        sum += share * input[(image * positions + position) * test.width + channel]
                    }
                    output.append(sum)
                }
            }
        }
        return output
    }

    private func operands(_ test: Case, seed: UInt64) -> (input: Tensor, locations: Tensor) {
        var random = SeededGenerator(seed: seed)
        return (
            random.tensor([2, test.extents.reduce(1, *), test.width]),
            random.tensor([2, test.groups, test.samples, test.extents.count], in: -test.reach...test.reach)
        )
    }

    /// Pixel coordinates in single precision: an error of about 1e-6 in the shares.
    @Test(arguments: cases) func agreesWithTheDefinition(test: Case) {
        let (input, locations) = operands(test, seed: 51)
        let expected = plain(test, input.elements.map(Double.init), locations.elements.map(Double.init))
        let actual = GridSampling(extents: test.extents, axes: test.axes)(input, at: locations)
        #expect(relativeError(actual, Tensor([2, test.samples, test.width], expected.map(Float.init))) < 1e-5)
    }

    @Test(arguments: cases) func backwardAgreesWithFiniteDifferences(test: Case) {
        let (input, locations) = operands(test, seed: 52)
        var random = SeededGenerator(seed: 53)
        let outputGradient = random.tensor([2, test.samples, test.width])
        let direction = outputGradient.elements.map(Double.init)
        func loss(_ input: [Double], _ locations: [Double]) -> Double {
            zip(plain(test, input, locations), direction).reduce(0) { $0 + $1.0 * $1.1 }
        }
        let (inputs, places) = (input.elements.map(Double.init), locations.elements.map(Double.init))
        let (_, pullback) = GridSampling(extents: test.extents, axes: test.axes).withPullback(input, at: locations)
        let gradient = pullback(outputGradient)

        func check(_ actual: Tensor, _ point: [Double], _ loss: ([Double]) -> Double) {
            let indices = Array(stride(from: 0, to: point.count, by: max(1, point.count / 60)))
            let expected = finiteDifferences(at: point, indices: indices, of: loss)
            let elements = actual.elements
            #expect(
                relativeError(
                    Tensor([indices.count], indices.map { elements[$0] }),
                    Tensor([indices.count], indices.map { Float(expected[$0]) })) < 1e-4)
        }
        check(gradient.input, inputs) { loss($0, places) }
        check(gradient.locations, places) { loss(inputs, $0) }
    }

    /// What remains of a row of four ones: -1 and 1 are the edges, half a step beyond the outer centres.
    static let borders: [(location: Float, expected: Float)] = [
        (-0.75, 1), (0, 1), (-1, 0.5), (1, 0.5), (-1.25, 0), (1.25, 0), (-1.125, 0.25), (1e9, 0), (-1e30, 0),
        (.infinity, 0), (-.infinity, 0), (.nan, 0), (.greatestFiniteMagnitude, 0), (-.greatestFiniteMagnitude, 0),
    ]

    @Test(arguments: borders, [1, 2, 3])
    func bordersAndWildLocations(border: (location: Float, expected: Float), rank: Int) {
        // Only the last axis is left; the others are sampled in the middle of an extent of 1.
        let extents = Array(repeating: 1, count: rank - 1) + [4]
        let input = Tensor([1, 4, 17], repeating: 1)
        let locations = Tensor([1, 1, 1, rank], Array(repeating: 0, count: rank - 1) + [border.location])
        let (output, pullback) = GridSampling(extents: extents, axes: Array(0..<rank))
            .withPullback(input, at: locations)
        #expect(output.elements.allSatisfy { abs($0 - border.expected) < 1e-6 })
        let gradient = pullback(Tensor(output.shape, repeating: 1))
        #expect(gradient.locations.elements.allSatisfy { $0.isFinite })
        #expect(abs(gradient.input.elements.reduce(0, +) - 17 * border.expected) < 1e-4)
    }

    @Test func threadsDoNotChangeTheResult() {
        let test = Case(extents: [7, 8], axes: [1, 0], groups: 2, width: 260, samples: 300)
        let (input, locations) = operands(test, seed: 54)
        let outputGradient = Tensor([2, 300, 260], repeating: 0.3)
        let results = [1, 2, 5].map { threads in
            Parallel.withThreadCount(threads) {
                let (output, pullback) = GridSampling(extents: test.extents, axes: test.axes)
                    .withPullback(input, at: locations)
                let gradient = pullback(outputGradient)
                return [output.elements, gradient.input.elements, gradient.locations.elements]
            }
        }
        #expect(results[0] == results[1] && results[0] == results[2])
    }

    @Test func noImagesGiveNoSamples() {
        let sampling = GridSampling(extents: [3], axes: [0])
        let (output, pullback) = sampling.withPullback(Tensor([0, 3, 2]), at: Tensor([0, 1, 5, 1]))
        #expect(output.shape == [0, 5, 2])
        let gradient = pullback(output)
        #expect(gradient.input.shape == [0, 3, 2] && gradient.locations.shape == [0, 1, 5, 1])
    }
}
