import CKernels
import Tensors

/// A linear layer compiled for tiles of one height, which each thread of a parallel loop takes through by itself.
package struct LinearTile: Sendable {
    let compiled: PackedWeights.Compiled
    let bias: Tensor?

    /// From `[rows, input width]`, in the layer's precision, to `[rows, output width]`, on the thread that calls it; the caller
    /// answers for the memory.
    package func callAsFunction(_ source: UnsafeRawPointer, into destination: UnsafeMutableRawPointer) {
        withExtendedLifetime((bias, compiled.weights)) {
            compiled.operation.run(
                source: source, weights: compiled.weights.start, bias: bias?.pointer, destination: destination)
        }
    }
}

extension Linear {
    /// The layer for tiles of `rows` rows.
    ///
    /// - Parameters:
    ///   - addsToDestination: the results are added to what the destination holds.
    ///   - result: how the destination lies in memory.
    package func tile(
        rows: Int, activation: Activation = .none, addsToDestination: Bool = false,
        result: ComputePrecision = .float32
    ) -> LinearTile {
        Parallel.withThreadCount(1) {
            let epilogue = Epilogue(hasBias: bias != nil, addsResidual: addsToDestination, activation: activation)
            let key = PackedWeights.Key(extents: [rows], epilogue: epilogue, result: result)
            return LinearTile(
                compiled: weights.compiled(key) { compile(rows: rows, epilogue: epilogue, result: result) }, bias: bias)
        }
    }
}

/// Rounds tiles of activations to what the next product multiplies.
package struct TileFactors: Sendable {
    /// Bfloat16 where the processor multiplies that; else the activations are multiplied as they are.
    private let isRounding: Bool

    package init(_ precision: ComputePrecision) {
        isRounding = precision.native == .bfloat16
    }

    /// - Parameters:
    ///   - values: `count` of them, in the caller's memory.
    ///   - room: for as many floats.
    /// - Returns: the factors, either in `room` or the values themselves.
    package func callAsFunction(
        _ values: UnsafePointer<Float>, count: Int, room: UnsafeMutablePointer<Float>
    ) -> UnsafeRawPointer {
        guard isRounding else { return UnsafeRawPointer(values) }
        let rounded = UnsafeMutableRawPointer(room)
        bfloat16_round(Int64(count), values, rounded.assumingMemoryBound(to: UInt16.self))
        return UnsafeRawPointer(rounded)
    }
}
