import DeformableAttention
import Layers
import TestSupport
import Tensors
import Testing

/// The locations and weights that can be looked at are those that the sampler samples with.
@Suite struct SamplingLocationsTests {
    @Test(arguments: SamplingCase.all)
    func samplingByHandGivesTheSamplersOutput(test: SamplingCase) {
        let sampling = test.sampling
        let operands = test.operands(seed: 23)
        let (value, layout, projections, references) = (
            operands.value, operands.layout, operands.projections, operands.references
        )
        let found = sampling.locations(layout: layout, projections: projections, references: references)
        let shape = [test.images, test.queries, test.heads, layout.levels, test.points]
        #expect(found.weights.shape == Shape(shape) && found.locations.shape == Shape(shape + [2]))
        let (locations, weights) = (found.locations.elements, found.weights.elements)
        let (values, channels) = (value.elements, test.heads * test.headWidth)

        /// One channel of a level at a location in 0...1, between pixel centres; zero outside.
        func sample(_ image: Int, _ level: Int, _ x: Double, _ y: Double, _ channel: Int) -> Double {
            let size = layout.sizes[level]
            let (x, y) = (x * Double(size.width) - 0.5, y * Double(size.height) - 0.5)
            var sum = 0.0
            for row in 0..<size.height where abs(y - Double(row)) < 1 {
                for column in 0..<size.width where abs(x - Double(column)) < 1 {
                    let place = image * layout.count + layout.starts[level] + row * size.width + column
                    sum +=
                        (1 - abs(y - Double(row))) * (1 - abs(x - Double(column)))
                        * Double(values[place * channels + channel])
                }
            }
            return sum
        }

        let samples = layout.levels * test.points
        let output = Tensor([test.images, test.queries, channels]) { output in
            for index in output.indices {
                let (row, channel) = (index / channels, index % channels)
                let start = (row * test.heads + channel / test.headWidth) * samples
                output[index] = Float(
                    (0..<samples).reduce(0.0) { sum, offset in
                        let (x, y) = (locations[2 * (start + offset)], locations[2 * (start + offset) + 1])
                        return sum + Double(weights[start + offset])
                            * sample(row / test.queries, offset / test.points, Double(x), Double(y), channel)
                    })
            }
        }
        let expected = sampling.plain(value: value, layout: layout, projections: projections, references: references)
        // A location in 0...1 has a rounding error of 1e-7 of the level's extent, a hundred times that far outside.
        #expect(relativeError(output, expected) < 2e-5)
        for head in 0..<test.images * test.queries * test.heads {
            let sum = weights[head * samples..<(head + 1) * samples].reduce(0, +)
            #expect(abs(sum - 1) < 1e-5)
        }
    }

    @Test func offsetsCountInPixelsOfPointsAndInShares() {
        let sampling = DeformableSampling(heads: 1, headWidth: 1, points: 2)
        let layout = LevelLayout([ValidSize(height: 4, width: 8)])
        let projections = Tensor([1, 1, 6], [2, -1, 0, 0, 0, 0])
        let byPoint = sampling.locations(
            layout: layout, projections: projections, references: Tensor([1, 1, 1, 2], [0.5, 0.25]))
        #expect(byPoint.locations.elements == [0.75, 0, 0.5, 0.25])
        #expect(byPoint.weights.elements == [0.5, 0.5])
        let byBox = sampling.locations(
            layout: layout, projections: projections, references: Tensor([1, 1, 1, 4], [0.5, 0.25, 0.5, 0.125]))
        #expect(byBox.locations.elements == [0.75, 0.21875, 0.5, 0.25])
    }

    @Test func nothingToLookAtAndWildNumbers() {
        let sampling = DeformableSampling(heads: 2, headWidth: 1, points: 1)
        let layout = LevelLayout([ValidSize(height: 1, width: 4)])
        let none = sampling.locations(
            layout: layout, projections: Tensor([1, 0, 6]), references: Tensor([1, 0, 1, 2]))
        #expect(none.locations.shape == [1, 0, 2, 1, 1, 2] && none.weights.count == 0)
        let wild = sampling.locations(
            layout: layout, projections: Tensor([1, 1, 6], [.infinity, .nan, 1e38, -.infinity, 3e38, -3e38]),
            references: Tensor([1, 1, 1, 2], [0, 0]))
        let locations = wild.locations.elements
        #expect(locations[0] == .infinity && locations[1].isNaN && locations[2] == 2.5e37 && locations[3] == -.infinity)
        #expect(wild.weights.elements == [1, 1])
    }
}
