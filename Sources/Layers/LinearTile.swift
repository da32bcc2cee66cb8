import Tensors

/// A linear layer compiled for tiles of one height, which each thread of a parallel loop takes through by itself.
package struct LinearTile: Sendable {
    let compiled: PackedWeights.Compiled
    let bias: Tensor?

    /// From `[rows, input width]` to `[rows, output width]`, on the thread that calls it; the caller answers for the memory.
    package func callAsFunction(_ source: UnsafePointer<Float>, into destination: UnsafeMutablePointer<Float>) {
        withExtendedLifetime((bias, compiled.weights)) {
            compiled.operation.run(
                source: source, weights: compiled.weights.start, bias: bias?.pointer, destination: destination)
        }
    }
}

extension Linear {
    /// The layer for tiles of `rows` rows.
    ///
    /// - Parameter addsToDestination: the results are added to what the destination holds.
    /// - Precondition: the layer computes in float32.
    package func tile(
        rows: Int, activation: Activation = .none, addsToDestination: Bool = false
    ) -> LinearTile {
        precondition(precision == .float32, "tiles of a layer that computes in \(precision)")
        return Parallel.withThreadCount(1) {
            let epilogue = Epilogue(hasBias: bias != nil, addsResidual: addsToDestination, activation: activation)
            let key = PackedWeights.Key(extents: [rows], epilogue: epilogue)
            return LinearTile(
                compiled: weights.compiled(key) { compile(rows: rows, epilogue: epilogue) }, bias: bias)
        }
    }
}
