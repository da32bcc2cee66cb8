// The axes and curves of a training's chart.

import Foundation
import Images
import Tensors
import Testing

@testable import detect

@Suite struct ChartAxisTests {
    private func labels(_ axis: ChartAxis) -> [String] { axis.ticks.map(\.label) }

    @Test func linearAxesEndAtRoundNumbers() {
        let cases: [(ClosedRange<Double>, [String])] = [
            (0...1, ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]), (0...0.3, ["0", "0.1", "0.2", "0.3"]),
            (0...0.87, ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]), (3.1...4.9, ["3.0", "3.5", "4.0", "4.5", "5.0"]),
            (-12...9, ["-15", "-10", "-5", "0", "5", "10"]),
            (0...9000, ["0", "2000", "4000", "6000", "8000", "10000"]),
            (0...0.0007, ["0", "0.0002", "0.0004", "0.0006", "0.0008"]),
        ]
        for (range, expected) in cases {
            let axis = ChartAxis.linear(covering: range)
            // Thousands have a letter from 10,000 on.
            #expect(
                labels(axis) == (expected.last == "10000" ? ["0", "2k", "4k", "6k", "8k", "10k"] : expected), "\(range)"
            )
            #expect(axis.ticks.first?.value == axis.lower && axis.ticks.last?.value == axis.upper)
        }
    }

    @Test func countsEndWithTheData() {
        let cases: [(Double, [String])] = [
            (0, ["0", "1"]), (1, ["0", "1"]), (2.5, ["0", "1", "2"]), (12, ["0", "5", "10"]),
            (44, ["0", "10", "20", "30", "40"]), (4400, ["0", "1000", "2000", "3000", "4000"]),
            (240_000, ["0", "50k", "100k", "150k", "200k"]), (12_000, ["0", "5k", "10k"]),
            (2_500_000, ["0", "0.5M", "1.0M", "1.5M", "2.0M", "2.5M"]),
        ]
        for (upper, expected) in cases {
            let axis = ChartAxis.counting(to: upper)
            #expect(labels(axis) == expected)
            #expect(axis.lower == 0 && axis.upper == max(upper, 1))
        }
    }

    @Test func logarithmicAxesHaveOneTwoFive() {
        let cases: [(ClosedRange<Double>, [String], Double, Double)] = [
            (0.3...7, ["0.2", "0.5", "1", "2", "5", "10"], 0.2, 10), (1...10, ["1", "2", "5", "10"], 1, 10),
            (0.03...22, ["0.1", "1", "10"], 0.02, 50), (1e-9...1, ["1e-8", "1e-6", "1e-4", "1e-2", "1"], 1e-9, 1),
            (900...30_000, ["500", "1000", "2000", "5000", "10k", "20k", "50k"], 500, 50_000),
            (2...2, ["2", "5"], 2, 5),
        ]
        for (range, expected, lower, upper) in cases {
            let axis = ChartAxis.logarithmic(covering: range)
            let found = labels(axis)
            #expect(found == expected.map { ["1e-4": "0.0001", "1e-2": "0.01", "1e-6": "0.000001"][$0] ?? $0 })
            #expect(abs(axis.lower / lower - 1) < 1e-12 && abs(axis.upper / upper - 1) < 1e-12)
            #expect(abs(axis.share(of: (axis.lower * axis.upper).squareRoot()) - 0.5) < 1e-12)
        }
    }

    /// Whatever the range: it is covered, and has a few ticks that are written differently.
    @Test func anyRangeHasAnAxis() {
        var generator = SeededGenerator(seed: 12)
        let special = [
            0, 1, -1, 1e-300, .leastNonzeroMagnitude, 1e300, -1e300, .greatestFiniteMagnitude, 1e9, 1e9 + 1, 0.1, 1e-7,
        ]
        func any() -> Double {
            if Bool.random(using: &generator), let value = special.randomElement(using: &generator) { return value }
            return Double.random(in: -10...10, using: &generator)
                * pow(10, Double(Int.random(in: -12...12, using: &generator)))
        }
        for _ in 0..<2000 {
            let (first, second) = (any(), any())
            let range = min(first, second)...max(first, second)
            var axes = [ChartAxis.linear(covering: range), .counting(to: second)]
            if range.lowerBound > 0 { axes.append(.logarithmic(covering: range)) }
            for axis in axes {
                #expect(axis.lower < axis.upper && axis.upper.isFinite, "\(range)")
                #expect((1...8).contains(axis.ticks.count), "\(range): \(axis.ticks)")
                #expect(axis.ticks.allSatisfy { axis.lower...axis.upper ~= $0.value }, "\(range): \(axis)")
                #expect(zip(axis.ticks, axis.ticks.dropFirst()).allSatisfy { $0.value < $1.value })
                #expect(Set(axis.ticks.map(\.label)).count == axis.ticks.count, "\(range): \(axis.ticks)")
            }
            // Of values beyond 1e100 the axis takes no notice.
            if abs(first) < 1e100, abs(second) < 1e100 {
                #expect(axes[0].lower <= range.lowerBound && axes[0].upper >= range.upperBound)
            }
        }
    }
}

@Suite struct TrainingChartTests {
    private static let blue: [UInt8] = [0x1F, 0x5F, 0xD0]
    private static let orange: [UInt8] = [0xE8, 0x71, 0x0A]

    private func step(_ step: Int, loss: Double, epoch: Double = 0) -> StepMetrics {
        StepMetrics(
            step: step, epoch: epoch, loss: loss, terms: [], learningRate: 1e-4, gradientNorm: 1, imagesPerSecond: 1,
            seconds: 1)
    }

    private func validation(_ step: Int, ap: Double, ap50: Double, isBest: Bool = false) -> ValidationMetrics {
        ValidationMetrics(
            step: step, epoch: 0, statistics: [ap, ap50, -1] + [Double](repeating: -1, count: 9), classes: [],
            seconds: 1, isBest: isBest)
    }

    /// The rows of a column within a range that have a colour, to `tolerance` in each channel.
    private func rows(
        _ image: Image, _ column: Int, _ color: [UInt8], tolerance: Int = 0, in range: Range<Int> = 85..<450
    ) -> [Int] {
        range.filter { row in
            let start = (row * image.width + column) * 3
            return zip(image.pixels[start..<start + 3], color).allSatisfy { abs(Int($0) - Int($1)) <= tolerance }
        }
    }

    /// The row of a curve's middle, from above; nil where there is none. A thin line between two rows covers 7/8 of each.
    private func curve(_ image: Image, _ column: Int, _ color: [UInt8]) -> Double? {
        let found = rows(image, column, color, tolerance: 35)
        return found.isEmpty ? nil : Double(found.reduce(0, +)) / Double(found.count) + 0.5
    }

    /// Columns and rows of a plot, by its axis's line and its grid's uppermost.
    private func plotArea(_ image: Image, columns: Range<Int>) -> (left: Int, right: Int, top: Int, bottom: Int)? {
        let axis: [UInt8] = [0xAF, 0xB8, 0xC1]
        let middle = (columns.lowerBound + columns.upperBound) / 2
        guard let bottom = rows(image, middle, axis, in: 0..<image.height).first else { return nil }
        let line = columns.filter { !rows(image, $0, axis, in: bottom..<bottom + 1).isEmpty }
        guard let left = line.first, let right = line.last,
            let top = rows(image, middle, [0xE9, 0xEC, 0xEF], in: 85..<bottom).first
        else { return nil }
        return (left, right + 1, top, bottom)
    }

    @Test func curvesLieWhereTheirValuesAre() throws {
        // Constant, so that smoothing changes nothing: 3 between 1.5 and 4.5, ticks of a single value.
        let steps = (1...400).map { step($0 * 10, loss: 3) }
        let validations = (1...80).map { validation($0 * 50, ap: 0.25, ap50: 0.75, isBest: $0 == 40) }
        let image = TrainingChart(title: "", metrics: TrainingMetrics(steps: steps, validations: validations)).image()
        #expect(image.width == 1200 && image.height == 500)

        let left = try #require(plotArea(image, columns: 0..<600))
        let axis = ChartAxis.linear(covering: 3...3)
        let expected = Double(left.bottom) - axis.share(of: 3) * Double(left.bottom - left.top)
        for column in [left.left + 20, (left.left + left.right) / 2, left.right - 3] {
            let middle = try #require(curve(image, column, Self.blue))
            #expect(abs(middle - expected) <= 1, "\(middle) for \(expected)")
        }
        let right = try #require(plotArea(image, columns: 600..<1200))
        let height = Double(right.bottom - right.top)
        for (color, value) in [(Self.blue, 0.25), (Self.orange, 0.75)] {
            let middle = try #require(curve(image, right.right - 100, color))
            // AP50 is at most 0.75: the axis ends at 0.8.
            #expect(abs(middle - (Double(right.bottom) - value / 0.8 * height)) <= 1.5, "\(middle)")
        }
        // The best, half way, is a ring.
        let best = (right.left + right.right) / 2
        #expect(rows(image, best, Self.blue).count >= 4)
        #expect(rows(image, best, [255, 255, 255]).contains(Int(Double(right.bottom) - 0.25 / 0.8 * height)))
    }

    @Test func wideRangesAreLogarithmic() throws {
        // One decade and a half, a straight line in the logarithm.
        let steps = (0...100).map { step($0 * 10, loss: 30 * pow(10, -1.5 * Double($0) / 100)) }
        let image = TrainingChart(title: "", metrics: TrainingMetrics(steps: steps)).image()
        let left = try #require(plotArea(image, columns: 0..<600))
        let axis = ChartAxis.logarithmic(covering: (30 * pow(10, -1.5))...30)
        for share in [0.25, 0.5, 0.75] {
            let column = left.left + Int(share * Double(left.right - left.left))
            let middle = try #require(curve(image, column, Self.blue))
            let value = 30 * pow(10, -1.5 * share)
            let expected = Double(left.bottom) - axis.share(of: value) * Double(left.bottom - left.top)
            #expect(abs(middle - expected) <= 2, "\(middle) for \(expected)")
        }
    }

    @Test func nothingIsDrawnAsEmptyAxes() throws {
        let image = TrainingChart(title: "nothing", metrics: TrainingMetrics()).image()
        for columns in [0..<600, 600..<1200] {
            let plot = try #require(plotArea(image, columns: columns))
            // Words in the middle, no curve.
            let quiet: [UInt8] = [0x65, 0x6D, 0x76]
            let middle = (plot.top + plot.bottom) / 2
            #expect((plot.left..<plot.right).contains { !rows(image, $0, quiet, in: middle - 9..<middle + 9).isEmpty })
            #expect((plot.left..<plot.right).allSatisfy { rows(image, $0, Self.blue).isEmpty })
        }
    }

    @Test func anyNumbersAreSafe() {
        let values: [Double] = [.nan, .infinity, 0, -1, .leastNonzeroMagnitude, 1e300, -1e300, 3, 1e9]
        for first in values {
            for second in values {
                let metrics = TrainingMetrics(
                    steps: [step(7, loss: first, epoch: second), step(3, loss: second), step(Int.max, loss: first)],
                    validations: [
                        validation(5, ap: min(max(first, -1), 1), ap50: min(max(second, -1), 1), isBest: true),
                        validation(Int.max, ap: 0.5, ap50: -1, isBest: true),
                    ])
                for (width, height) in [(1, 1), (200, 60), (640, 300)] {
                    let image = TrainingChart(title: "a\u{1B}b", metrics: metrics).image(width: width, height: height)
                    #expect(image.width == width && image.height == height)
                }
            }
        }
        for count in [1, 2] {
            let metrics = TrainingMetrics(steps: (0..<count).map { step($0, loss: 2) })
            let image = TrainingChart(title: "", metrics: metrics).image()
            #expect((40..<600).contains { !rows(image, $0, Self.blue).isEmpty })
        }
    }

    @Test func smoothingKeepsWhatIsConstantAndMeansTheRest() {
        for count in [0, 1, 2, 3, 50, 4000] {
            let constant = ChartCurve.smoothed([Double](repeating: 2.5, count: count))
            #expect(constant.count == count && constant.allSatisfy { abs($0 - 2.5) < 1e-9 })
        }
        let alternating = ChartCurve.smoothed((0..<4000).map { $0 % 2 == 0 ? 1 : 3 })
        #expect(alternating.allSatisfy { abs($0 - 2) < 0.02 })
        // As the definition, weight by weight.
        let values = (0..<90).map { sin(Double($0 * $0)) }
        let decay = exp(-1 / (90.0 / 40))
        for (index, found) in ChartCurve.smoothed(values).enumerated() {
            let weights = values.indices.map { pow(decay, abs(Double($0 - index))) }
            let mean = zip(values, weights).reduce(0) { $0 + $1.0 * $1.1 } / weights.reduce(0, +)
            #expect(abs(found - mean) < 1e-12)
        }
    }
}
