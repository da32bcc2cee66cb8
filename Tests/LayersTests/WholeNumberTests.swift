import Checkpoint
import Foundation
import Layers
import TestSupport
import Tensors
import Testing

/// Layers that multiply whole numbers of 8 bits, against the same sums in double precision.
@Suite struct WholeNumberTests {
    private static let signed = Encoding(wholeNumbersFor: -2...1.5)
    private static let unsigned = Encoding(wholeNumbersFor: 0...3)

    @Test(arguments: [signed, unsigned, Encoding(wholeNumbersFor: 0...0)])
    func roundsToTheNearestStep(encoding: Encoding) {
        var random = SeededGenerator(seed: 1)
        let special: [Float] = [
            0, -0.0, 1e30, -1e30, .infinity, -.infinity, 1e-40, encoding.step / 2, 1.5 * encoding.step,
        ]
        let values = special + random.tensor([10_007], in: -4...4).elements
        let rounded = Factor(Tensor([values.count], values), encoding: encoding).tensor.elements
        let range: ClosedRange<Double> = encoding.element == .int8 ? -127...127 : 0...255
        for (value, result) in zip(values, rounded) {
            // As the layer multiplies: by the step's reciprocal, in single precision.
            let count = Double(value * (1 / encoding.step)).rounded(.toNearestOrEven)
            #expect(result == Float(min(max(count, range.lowerBound), range.upperBound)) * encoding.step, "\(value)")
        }
    }

    /// Whole numbers of whole numbers are themselves.
    @Test func convertsBack() {
        var random = SeededGenerator(seed: 2)
        for encoding in [Self.signed, .bfloat16, .float32] {
            let factor = Factor(random.tensor([3, 41]), encoding: encoding)
            #expect(Factor(factor.tensor, encoding: encoding).tensor.elements == factor.tensor.elements)
        }
    }

    /// A weight's row is rounded to at most half a step, and a rounded weight stays as it is.
    @Test func weightsKeepTheirRounding() {
        var random = SeededGenerator(seed: 3)
        var weight = random.tensor([5, 300])
        weight.scaleRows(by: [1, 1e-3, 50, 0, 7])
        let steps = Quantization.steps(of: weight)
        let rounded = Tensor(
            weight.shape,
            weight.elements.enumerated().map { ($1 / steps[$0 / 300]).rounded(.toNearestOrEven) * steps[$0 / 300] })
        let again = Quantization.steps(of: rounded)
        for (index, value) in rounded.elements.enumerated() {
            #expect(abs(value - weight.elements[index]) <= steps[index / 300] * 0.5001)
            let (count, other) = (value / steps[index / 300], value / again[index / 300])
            #expect(count.rounded() == other.rounded())
        }
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var input = unsigned
        var result = Encoding.float32
        var added: Encoding?
        var activation = Activation.none

        static let all = [
            Case(), Case(input: signed), Case(result: .bfloat16), Case(result: Encoding(wholeNumbersFor: -20...20)),
            Case(input: signed, result: Encoding(wholeNumbersFor: 0...20), activation: .relu),
            Case(added: .float32), Case(result: Encoding(wholeNumbersFor: 0...20), added: signed, activation: .relu),
            Case(result: Encoding(wholeNumbersFor: 0...20), added: unsigned, activation: .relu),
            Case(
                input: signed, result: Encoding(wholeNumbersFor: 0...20), added: Encoding(wholeNumbersFor: 0...20),
                activation: .relu),
        ]

        var testDescription: String { "\(input) into \(result), adding \(added as Encoding?), then \(activation)" }
    }

    /// A processor without such products has no such layers.
    static let isSupported = ComputePrecision.int8.native == .int8

    @Test(.enabled(if: isSupported), arguments: Case.all) func convolution(test: Case) throws {
        var random = SeededGenerator(seed: 4)
        let (inputs, outputs) = (20, 24)
        var weight = random.tensor([outputs, inputs, 3, 3])
        weight.scaleRows(by: (0..<outputs).map { exp2(Double($0 % 5)) / 8 })
        let bias = random.tensor([outputs])
        let high = test.input.step * (test.input.element == .int8 ? 127 : 255)
        let parameters = TensorDictionary([
            "weight": weight, "bias": bias,
            "input_range": Tensor([2], [test.input.element == .int8 ? -high : 0, high]),
        ])
        let layer = try Conv2D(
            WeightCursor(parameters), inputChannels: inputs, outputChannels: outputs,
            geometry: Conv2D.Geometry(kernel: 3, padding: 1), precision: .int8)
        let input = Factor(random.tensor([1, 5, 7, inputs], in: -2...3), encoding: layer.input)
        let added = test.added.map { Factor(random.tensor([1, 5, 7, outputs], in: -2...3), encoding: $0) }
        let result = layer(input, result: test.result, activation: test.activation, addingTo: added)
        #expect(result.encoding == test.result)

        let steps = Quantization.steps(of: weight)
        let counts = weight.elements.enumerated().map { ($1 / steps[$0 / (inputs * 9)]).rounded(.toNearestOrEven) }
        let (values, residual, biases) = (input.tensor.elements, added?.tensor.elements, bias.elements)
        for (index, actual) in result.tensor.elements.enumerated() {
            let (pixel, channel) = index.quotientAndRemainder(dividingBy: outputs)
            var sum = 0.0
            for row in max(0, pixel / 7 - 1)...min(4, pixel / 7 + 1) {
                for column in max(0, pixel % 7 - 1)...min(6, pixel % 7 + 1) {
                    let tap = (row - pixel / 7 + 1) * 3 + column - pixel % 7 + 1
                    for plane in 0..<inputs {
                        let factor = counts[(channel * inputs + plane) * 9 + tap] * steps[channel]
                        sum += Double(factor) * Double(values[(row * 7 + column) * inputs + plane])
                    }
                }
            }
            var expected = sum + Double(biases[channel]) + Double(residual?[index] ?? 0)
            if test.activation == .relu { expected = max(0, expected) }
            check(actual, expected, test.result)
        }
    }

    @Test(.enabled(if: isSupported), arguments: [signed, unsigned], [Encoding.float32, .bfloat16, unsigned])
    func linear(input: Encoding, result: Encoding) throws {
        var random = SeededGenerator(seed: 5)
        let weight = random.tensor([40, 33])
        let bias = random.tensor([40])
        let high = input.step * (input.element == .int8 ? 127 : 255)
        let parameters = TensorDictionary([
            "weight": weight, "bias": bias, "input_range": Tensor([2], [input.element == .int8 ? -high : 0, high]),
        ])
        let layer = try Linear(WeightCursor(parameters), inputWidth: 33, outputWidth: 40, precision: .int8)
        let factor = layer.factor(random.tensor([11, 33], in: -2...3))
        let activation: Activation = result.element == .uint8 ? .relu : .none
        let output = layer(factor, result: result, activation: activation).tensor.elements
        let steps = Quantization.steps(of: weight)
        for row in 0..<11 {
            for column in 0..<40 {
                let sum = (0..<33).reduce(Double(bias.elements[column])) { sum, inner in
                    let count = (weight.elements[column * 33 + inner] / steps[column]).rounded(.toNearestOrEven)
                    return sum + Double(count * steps[column]) * Double(factor.tensor.elements[row * 33 + inner])
                }
                check(output[row * 40 + column], activation == .relu ? max(0, sum) : sum, result)
            }
        }
    }

    /// Sums of some hundred products in 32-bit integers are exact; what they are multiplied by is single precision.
    private func check(_ actual: Float, _ expected: Double, _ encoding: Encoding) {
        switch encoding.element {
        case .float32: #expect(abs(Double(actual) - expected) < 2e-4)
        case .bfloat16: #expect(abs(Double(actual) - expected) <= abs(expected) / 256 + 2e-4)
        case .uint8, .int8:
            let step = Double(encoding.step)
            // Layers use the lowest number, too.
            let range = encoding.element == .int8 ? -128 * step...127 * step : 0...255 * step
            let clamped = min(max(expected, range.lowerBound), range.upperBound)
            #expect(abs(Double(actual) - clamped) < 0.51 * step)
        }
    }
}
