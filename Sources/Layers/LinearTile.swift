import Tensors

/// A linear layer compiled for tiles of one height, which each thread of a parallel loop takes through by itself.
package struct LinearTile: Sendable {
    let compiled: PackedWeights.Compiled
    let bias: Tensor?
    /// How the source lies in memory.
    let input: Encoding
    let observer: ActivationObserver?

    /// From `[rows, input width]`, as the layer multiplies it, to `[rows, output width]`, on the thread that calls it; the caller
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
        result: Encoding = .float32
    ) -> LinearTile {
        Parallel.withThreadCount(1) {
            let epilogue = Epilogue(hasBias: bias != nil, addsResidual: addsToDestination, activation: activation)
            let key = PackedWeights.Key(extents: [rows], epilogue: epilogue, result: result)
            return LinearTile(
                compiled: weights.compiled(key) { compile(rows: rows, epilogue: epilogue, result: result) }, bias: bias,
                input: input, observer: observer)
        }
    }
}

extension LinearTile {
    /// Activations as the layer multiplies them; on the thread that calls it.
    ///
    /// - Parameters:
    ///   - values: `count` of them, in the caller's memory.
    ///   - room: for as many floats.
    /// - Returns: the factors, either in `room` or the values themselves.
    package func factors(
        _ values: UnsafePointer<Float>, count: Int, room: UnsafeMutablePointer<Float>
    ) -> UnsafeRawPointer {
        observer?.observe(values, count: count)
        guard input != .float32 else { return UnsafeRawPointer(values) }
        input.round(values, count: count, into: room)
        return UnsafeRawPointer(room)
    }
}
