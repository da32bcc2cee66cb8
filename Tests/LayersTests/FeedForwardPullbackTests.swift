import Checkpoint
import Layers
import TestSupport
import Tensors
import Testing

/// The backward of feed-forward parts and box heads against finite differences of their definitions in Double.
@Suite struct FeedForwardPullbackTests {
    /// `x W^T + b` for rows of x.
    static func linear(_ x: [Double], _ weight: ArraySlice<Double>, _ bias: ArraySlice<Double>) -> [Double] {
        let output = bias.count
        let input = weight.count / output
        return (0..<x.count / input).flatMap { row in
            (0..<output).map { column in
                (0..<input).reduce(bias[bias.startIndex + column]) {
                    $0 + x[row * input + $1] * weight[weight.startIndex + column * input + $1]
                }
            }
        }
    }

    /// Factors that dropout multiplies with.
    static func factors(_ dropout: Dropout?, _ shape: Shape) -> [Double] {
        Tensor(shape, repeating: 1).droppingOut(dropout).elements.map(Double.init)
    }

    @Test(arguments: [false, true]) func feedForward(drops: Bool) throws {
        var random = SeededGenerator(seed: 41)
        let (rows, width, hiddenWidth) = (6, 5, 9)
        let shapes: [(name: String, shape: Shape)] = [
            ("linear1.weight", [hiddenWidth, width]), ("linear1.bias", [hiddenWidth]),
            ("linear2.weight", [width, hiddenWidth]), ("linear2.bias", [width]),
        ]
        var parameters = TensorDictionary()
        for (name, shape) in shapes { parameters[name] = random.tensor(shape) }
        let input = random.tensor([2, rows / 2, width])
        let upstream = random.tensor(input.shape)
        let hiddenDropout = drops ? Dropout(probability: 0.3, seed: 1) : nil
        let outputDropout = drops ? Dropout(probability: 0.4, seed: 2) : nil

        let layer = try FeedForward(WeightCursor(parameters), width: width, hiddenWidth: hiddenWidth)
        let (output, pullback) = layer.withPullback(
            input, hiddenDropout: hiddenDropout, outputDropout: outputDropout)
        if !drops { #expect(output.elements == layer(input).elements) }
        var gradients = Gradients()
        let inputGradient = pullback(upstream, &gradients)

        let hiddenFactors = Self.factors(hiddenDropout, [2, rows / 2, hiddenWidth])
        let outputFactors = Self.factors(outputDropout, input.shape)
        let point = try (input.elements + shapes.flatMap { try parameters.tensor($0.name).elements }).map(Double.init)
        let expected = finiteDifferences(at: point) { point in
            var start = 0
            func next(_ count: Int) -> ArraySlice<Double> {
                defer { start += count }
                return point[start..<start + count]
            }
            let x = Array(next(input.count))
            var hidden = Self.linear(x, next(hiddenWidth * width), next(hiddenWidth))
            hidden = zip(hidden, hiddenFactors).map { max(0, $0) * $1 }
            let fed = Self.linear(hidden, next(width * hiddenWidth), next(width))
            return x.indices.reduce(0) {
                $0 + Double(upstream.elements[$1]) * (x[$1] + fed[$1] * outputFactors[$1])
            }
        }.map(Float.init)
        #expect(relativeError(inputGradient, Tensor(input.shape, Array(expected.prefix(input.count)))) < 1e-5)
        var start = input.count
        for (name, shape) in shapes {
            let values = Array(expected[start..<start + shape.count])
            #expect(relativeError(try #require(gradients[name]), Tensor(shape, values)) < 1e-5, "\(name)")
            start += shape.count
        }
        #expect(gradients.names == shapes.map(\.name).sorted())
    }

    @Test func multiLayerPerceptron() throws {
        var random = SeededGenerator(seed: 42)
        let widths = [4, 7, 6, 3]
        var parameters = TensorDictionary()
        for index in 0..<3 {
            parameters["layers.\(index).weight"] = random.tensor([widths[index + 1], widths[index]])
            parameters["layers.\(index).bias"] = random.tensor([widths[index + 1]])
        }
        let names = parameters.names.sorted()
        let input = random.tensor([5, 4])
        let upstream = random.tensor([5, 3])
        let head = try MultiLayerPerceptron(WeightCursor(parameters), widths: widths)
        let (output, pullback) = head.withPullback(input)
        #expect(output.elements == head(input).elements)
        var gradients = Gradients()
        let inputGradient = pullback(upstream, &gradients)

        let point = try (input.elements + names.flatMap { try parameters.tensor($0).elements }).map(Double.init)
        let expected = finiteDifferences(at: point) { point in
            var start = input.count
            func next(_ count: Int) -> ArraySlice<Double> {
                defer { start += count }
                return point[start..<start + count]
            }
            var value = Array(point.prefix(input.count))
            for index in 0..<3 {
                let bias = next(widths[index + 1])
                value = Self.linear(value, next(widths[index + 1] * widths[index]), bias)
                if index < 2 { value = value.map { max(0, $0) } }
            }
            return value.indices.reduce(0) { $0 + Double(upstream.elements[$1]) * value[$1] }
        }.map(Float.init)
        #expect(relativeError(inputGradient, Tensor(input.shape, Array(expected.prefix(input.count)))) < 1e-5)
        var start = input.count
        for name in names {
            let shape = try #require(parameters.shape(of: name))
            let values = Array(expected[start..<start + shape.count])
            #expect(relativeError(try #require(gradients[name]), Tensor(shape, values)) < 1e-5, "\(name)")
            start += shape.count
        }
        #expect(gradients.names == names)
    }
}

/// Which elements dropout takes.
@Suite struct DropoutTests {
    @Test(arguments: [Float(0.1), 0.5, 0.9]) func dropsItsShareAndKeepsTheMean(probability: Float) {
        let count = 100_003
        let ones = Tensor([count], repeating: 1)
        let dropped = ones.droppingOut(Dropout(probability: probability, seed: 5)).elements
        let kept = dropped.count { $0 != 0 }
        // Five standard deviations of a binomial distribution.
        let deviation = (Double(count) * Double(probability * (1 - probability))).squareRoot()
        #expect(abs(Double(kept) - Double(count) * Double(1 - probability)) < 5 * deviation)
        #expect(dropped.allSatisfy { $0 == 0 || abs($0 * (1 - probability) - 1) < 1e-6 })
        #expect(ones.droppingOut(Dropout(probability: probability, seed: 5)).elements == dropped)
        #expect(ones.droppingOut(Dropout(probability: probability, seed: 6)).elements != dropped)
        #expect(
            Parallel.withThreadCount(1) { ones.droppingOut(Dropout(probability: probability, seed: 5)) }.elements
                == dropped)
    }

    @Test func addsTheResidualAfterwards() {
        var random = SeededGenerator(seed: 6)
        let (values, residual) = (random.tensor([9_001]), random.tensor([9_001]))
        let dropout = Dropout(probability: 0.4, seed: 8)
        #expect(
            values.droppingOut(dropout, addingTo: residual).elements
                == values.droppingOut(dropout).adding(residual).elements)
        #expect(values.droppingOut(nil, addingTo: residual).elements == values.adding(residual).elements)
        #expect(values.droppingOut(nil).elements == values.elements)
    }
}
