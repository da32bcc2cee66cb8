import Checkpoint
import Foundation
import Layers
import TestSupport
import Tensors
import Testing

/// What a calibration makes of the values that it sees.
@Suite struct ActivationRangeTests {
    private static func range(of values: [Float]) throws -> ClosedRange<Float>? {
        let ranges = ActivationRanges()
        let parameters = TensorDictionary(["layer.weight": Tensor([1, 1], repeating: 1), "layer.bias": Tensor([1])])
        let layer = try ranges.recording {
            try Linear(WeightCursor(parameters)["layer"], inputWidth: 1, outputWidth: 1)
        }
        for part in stride(from: 0, to: values.count, by: 1000) {
            _ = layer(
                Tensor([min(1000, values.count - part), 1], Array(values[part..<min(part + 1000, values.count)])))
        }
        return ranges.ranges["layer.input_range"]
    }

    private static func error(_ values: [Float], _ range: ClosedRange<Float>) -> Double {
        let rounded = Factor(Tensor([values.count], values), encoding: Encoding(wholeNumbersFor: range)).tensor.elements
        return zip(rounded, values).reduce(0) { $0 + pow(Double($1.0 - $1.1), 2) }
    }

    /// Few large values among many small ones are given up where that costs less than coarser steps for all.
    @Test(arguments: [0, 3, 300], [true, false]) func comesNearTheBest(outliers: Int, isSigned: Bool) throws {
        var random = SeededGenerator(seed: UInt64(outliers))
        var values = random.tensor([20_000], in: -1...1).elements.map { $0 * $0 * $0 }
        values += random.tensor([outliers], in: 2...6).elements
        if !isSigned { values = values.map(abs) }
        let range = try #require(try Self.range(of: values))
        #expect((range.lowerBound < 0) == isSigned)
        let largest = values.map(abs).max() ?? 0
        let best =
            (1...400).map { step -> Double in
                let limit = largest * Float(step) / 400
                return Self.error(values, (isSigned ? -limit : 0)...limit)
            }.min() ?? 0
        #expect(Self.error(values, range) < 1.1 * best)
    }

    @Test func zerosAndNothing() throws {
        #expect(try Self.range(of: [0, 0, 0]) == 0...0)
        #expect(try Self.range(of: []) == nil)
        #expect(try Self.range(of: [.nan, .infinity, 2]) == 0...2)
    }

    @Test func nothingIsNotedOutsideARecording() throws {
        let ranges = ActivationRanges()
        let parameters = TensorDictionary(["weight": Tensor([1, 1], repeating: 1), "bias": Tensor([1])])
        let layer = try Linear(WeightCursor(parameters), inputWidth: 1, outputWidth: 1)
        ranges.recording { _ = layer(Tensor([1, 1], repeating: 1)) }
        #expect(ranges.ranges.isEmpty)
    }
}
