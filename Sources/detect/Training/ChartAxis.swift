// Which round numbers stand beside a chart, and where values lie between its ends.

import Foundation

/// One axis of a chart: its two ends and the round values that are written along it.
struct ChartAxis: Sendable, Equatable {
    /// A value that is written, and its text.
    struct Tick: Sendable, Equatable {
        let value: Double
        let label: String
    }

    /// Below `upper`.
    let lower: Double
    let upper: Double
    /// Between the ends, ascending, at least one.
    let ticks: [Tick]
    let isLogarithmic: Bool

    /// At most this many steps lie within the range that an axis is for.
    private static let maximumSteps = 5.0

    /// Where a value lies between the ends, 0...1; less or more for a value outside. Not a number for one that has no place.
    func share(of value: Double) -> Double {
        isLogarithmic
            ? (log10(value) - log10(lower)) / (log10(upper) - log10(lower)) : (value - lower) / (upper - lower)
    }

    // MARK: - Linear

    /// Ends at the round values around a range, which may be a single value.
    ///
    /// - Precondition: the range is finite.
    static func linear(covering range: ClosedRange<Double>) -> ChartAxis {
        let range = widened(range)
        let step = RoundNumber(atLeast: (range.upperBound - range.lowerBound) / maximumSteps)
        // What is a multiple but for rounding is one.
        let first = Int((range.lowerBound / step.value + 1e-6).rounded(.down))
        let last = Int((range.upperBound / step.value - 1e-6).rounded(.up))
        let ticks = labelled((first...last).map { step.multiplied(by: $0) })
        return ChartAxis(
            lower: min(ticks[0].value, range.lowerBound), upper: max(ticks[ticks.count - 1].value, range.upperBound),
            ticks: ticks, isLogarithmic: false)
    }

    /// From 0 to `upper` exactly, which is where the data ends, with ticks at whole numbers: for epochs and steps.
    ///
    /// - Precondition: finite; less than 1 is taken for 1.
    static func counting(to upper: Double) -> ChartAxis {
        let upper = widened(0...max(upper, 1)).upperBound
        let step = RoundNumber(atLeast: max(upper / maximumSteps, 1))
        let last = Int((upper / step.value + 1e-6).rounded(.down))
        return ChartAxis(
            lower: 0, upper: upper, ticks: labelled((0...last).map { step.multiplied(by: $0) }), isLogarithmic: false)
    }

    /// A range with an extent that double precision has steps for.
    private static func widened(_ range: ClosedRange<Double>) -> ClosedRange<Double> {
        precondition(range.lowerBound.isFinite && range.upperBound.isFinite, "an axis for \(range)")
        let (lower, upper) = (max(min(range.lowerBound, 1e100), -1e100), max(min(range.upperBound, 1e100), -1e100))
        let magnitude = max(abs(lower), abs(upper))
        guard upper - lower < magnitude * 1e-9 || magnitude < 1e-100 else { return lower...upper }
        guard magnitude >= 1e-100 else { return 0...1 }
        return lower - magnitude / 2...upper + magnitude / 2
    }

    // MARK: - Logarithmic

    /// Ends at the values 1, 2 or 5 times a power of ten around a range. Ticks are all such values, or where the range has
    /// many, powers of ten.
    ///
    /// - Precondition: the range is finite and positive.
    static func logarithmic(covering range: ClosedRange<Double>) -> ChartAxis {
        precondition(range.lowerBound > 0 && range.upperBound.isFinite, "a logarithmic axis for \(range)")
        let lower = log10(min(max(range.lowerBound, 1e-100), 1e100))
        let upper = max(log10(min(max(range.upperBound, 1e-100), 1e100)), lower)
        let numbers = (Int(lower.rounded(.down)) - 1...Int(upper.rounded(.up)) + 1).flatMap { exponent in
            [1, 2, 5].map { RoundNumber(digits: $0, exponent: exponent) }
        }
        // What is round but for rounding is. An extent of one value at least is left.
        let first = numbers.lastIndex { log10($0.value) <= lower + 1e-6 } ?? 0
        let last = max(numbers.firstIndex { log10($0.value) >= upper - 1e-6 } ?? numbers.count - 1, first + 1)
        let stride = Int(((upper - lower) / maximumSteps).rounded(.up))
        let ticks = numbers[first...last].filter { number in
            upper - lower <= leastDecades || number.digits == 1 && number.exponent % max(stride, 1) == 0
        }
        return ChartAxis(
            lower: min(numbers[first].value, range.lowerBound), upper: max(numbers[last].value, range.upperBound),
            ticks: ticks.map { Tick(value: $0.value, label: label(of: $0)) }, isLogarithmic: true)
    }

    /// Of a logarithmic axis that has its ticks at powers of ten alone, so that there are some of them.
    private static let leastDecades = 2.0

    // MARK: - Labels

    /// Numbers with one exponent, all written with as many decimals and in the same unit.
    private static func labelled(_ numbers: [RoundNumber]) -> [Tick] {
        let largest = numbers.map { abs($0.value) }.max() ?? 0
        return numbers.map { Tick(value: $0.value, label: label(of: $0, largest: largest)) }
    }

    private static func label(of number: RoundNumber) -> String { label(of: number, largest: abs(number.value)) }

    /// Thousands and millions have a letter: `20k`, `1.5M`.
    private static func label(of number: RoundNumber, largest: Double) -> String {
        guard number.digits != 0 else { return "0" }
        let (unit, suffix) = largest >= 1e6 ? (6, "M") : largest >= 1e4 ? (3, "k") : (0, "")
        let exponent = number.exponent - unit
        guard largest < 1e9, exponent >= -6 else { return "\(number.digits)e\(number.exponent)" }
        let digits = String(number.digits.magnitude)
        let sign = number.digits < 0 ? "-" : ""
        guard exponent < 0 else { return sign + digits + String(repeating: "0", count: exponent) + suffix }
        let padded = String(repeating: "0", count: max(1 - exponent - digits.count, 0)) + digits
        return sign + padded.dropLast(-exponent) + "." + padded.suffix(-exponent) + suffix
    }
}

/// A decimal number: digits * 10^exponent.
private struct RoundNumber {
    let digits: Int
    let exponent: Int

    init(digits: Int, exponent: Int) {
        self.digits = digits
        self.exponent = exponent
    }

    /// The smallest number of 1, 2 or 5 times a power of ten that is no less than a positive one, but for rounding.
    init(atLeast width: Double) {
        let exponent = Int(log10(width).rounded(.down))
        let digits = [1, 2, 5].first { Self(digits: $0, exponent: exponent).value >= width * (1 - 1e-9) }
        self = digits.map { Self(digits: $0, exponent: exponent) } ?? Self(digits: 1, exponent: exponent + 1)
    }

    /// Divided rather than multiplied by a fraction, which Double would not have exactly.
    var value: Double {
        exponent < 0 ? Double(digits) / pow(10, Double(-exponent)) : Double(digits) * pow(10, Double(exponent))
    }

    func multiplied(by factor: Int) -> RoundNumber { RoundNumber(digits: digits * factor, exponent: exponent) }
}
