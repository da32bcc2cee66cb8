import Checkpoint
import Foundation
import Synchronization
import Tensors

/// What a calibration learns of a model: the range of each layer's inputs.
///
/// Layers that are made while it records note what they are given when they run:
///
/// ```swift
/// let ranges = ActivationRanges()
/// let model = try ranges.recording { try DeformableDETR(cursor, configuration: configuration) }
/// ```
public final class ActivationRanges: Sendable {
    @TaskLocal private static var current: ActivationRanges?

    private let observers = Mutex<[String: ActivationObserver]>([:])

    public init() {}

    /// Makes the layers that `body` makes note their inputs here.
    public func recording<Result>(_ body: () throws -> Result) rethrows -> Result {
        try Self.$current.withValue(self, operation: body)
    }

    /// By the name that weights' files have for a range: `PATH.input_range`.
    public var ranges: [String: ClosedRange<Float>] {
        observers.withLock { $0.compactMapValues(\.range) }
    }

    /// For the layer that is being made of a cursor; nil when nothing records.
    static func observer(ofInputOf cursor: WeightCursor) -> ActivationObserver? {
        observer(cursor.name(of: Encoding.inputRangeName))
    }

    /// For a tensor that is no layer's input.
    package static func observer(_ name: String) -> ActivationObserver? {
        guard let current else { return nil }
        return current.observers.withLock { observers in
            let observer = observers[name] ?? ActivationObserver()
            observers[name] = observer
            return observer
        }
    }
}

/// Counts values by their upper sixteen bits: sign, exponent and seven bits of fraction.
package final class ActivationObserver: Sendable {
    private let counts = Mutex([Int](repeating: 0, count: 1 << 16))

    package func observe(_ factor: Factor) {
        guard factor.encoding == .float32 else { return }
        withExtendedLifetime(factor) {
            observe(factor.pointer.assumingMemoryBound(to: Float.self), count: factor.count)
        }
    }

    /// On the thread that calls it; the caller answers for the memory.
    package func observe(_ values: UnsafePointer<Float>, count: Int) {
        counts.withLock { counts in
            for index in 0..<count { counts[Int(values[index].bitPattern >> 16)] += 1 }
        }
    }

    /// The range for which 8-bit whole numbers come closest to what was seen, by the mean of the squares: values beyond it are
    /// clamped, the others lie up to half a step away. nil when nothing was seen.
    var range: ClosedRange<Float>? {
        var seen: [(magnitude: Double, count: Double)] = []
        var isSigned = false
        counts.withLock { counts in
            for (bits, count) in counts.enumerated() where count > 0 {
                let value = Float(bitPattern: UInt32(bits) << 16)
                guard value.isFinite else { continue }
                isSigned = isSigned || value < 0
                seen.append((Double(abs(value)), Double(count)))
            }
        }
        seen.sort { $0.magnitude > $1.magnitude }
        guard let largest = seen.first?.magnitude else { return nil }
        guard largest > 0 else { return 0...0 }
        let total = seen.reduce(0) { $0 + $1.count }
        func error(limit: Double) -> Double {
            var (clamped, outside) = (0.0, 0.0)
            for (magnitude, count) in seen {
                guard magnitude > limit else { break }
                clamped += (magnitude - limit) * (magnitude - limit) * count
                outside += count
            }
            let step = limit / (isSigned ? 127 : 255)
            return clamped + (total - outside) * step * step / 12
        }
        let limits = (0..<200).map { largest * exp2(-Double($0) / 25) }
        let best = limits.min { error(limit: $0) < error(limit: $1) } ?? largest
        return (isSigned ? -Float(best) : 0)...Float(best)
    }
}

extension Encoding {
    /// What weights' files call the range of a layer's input, `[low, high]`.
    package static let inputRangeName = "input_range"

    /// How a layer's factors lie in memory: for whole numbers the checkpoint has their range.
    init(ofInputOf cursor: WeightCursor, precision: ComputePrecision) throws {
        guard precision.native == .int8 else {
            self = precision == .int8 ? .float32 : precision.encoding
            return
        }
        self = try Encoding(range: cursor, Self.inputRangeName)
    }

    /// Whole numbers for a range that a checkpoint has.
    package init(range cursor: WeightCursor, _ name: String) throws {
        let limits = try cursor.tensor(name, [2]).elements
        guard limits[0] <= limits[1] else {
            throw CheckpointError.configuration(
                path: cursor.origin, key: "tensor '\(cursor.name(of: name))'", expected: "a range, low before high",
                found: "\(limits[0]), \(limits[1])")
        }
        self.init(wholeNumbersFor: limits[0]...limits[1])
    }
}
