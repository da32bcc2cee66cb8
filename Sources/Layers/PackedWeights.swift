import COneDNN
import Checkpoint
import Synchronization
import Tensors

/// A layer's weights in the order that oneDNN wants, and the layer's operations by input shape.
///
/// The weights are packed, and rounded to what the layer computes in, when the layer first runs; the checkpoint's order is given
/// up then, so that memory holds them once. Another input shape that wants another order (rare) gets a repacked copy.
final class PackedWeights: Sendable {
    /// What distinguishes a layer's operations: the input's extents, the epilogue, whether values or gradients flow, and the
    /// threads that share the work.
    struct Key: Hashable {
        var extents: [Int]
        var epilogue: Epilogue
        /// From the output's gradient to the input's.
        var isBackward = false
        /// How the result lies in memory.
        var result = Encoding.float32
        /// How what is added to the product lies there.
        var added: Encoding?
        var threads = Parallel.threadCount
    }

    /// An operation with the weights that it wants.
    struct Compiled: Sendable {
        let operation: Operation
        let weights: Storage
    }

    private struct State {
        /// The weights as the checkpoint has them, until they are packed, or for good.
        var plain: StoredTensor?
        var keepsPlain = false
        /// Whether another order is packed from the plain weights, too.
        var packsAnew = false
        var compiled: [Key: Compiled] = [:]
        /// The keys of `compiled`, oldest first.
        var order: [Key] = []
        /// One operation and its weights for each distinct packing.
        var packings: [Compiled] = []
    }

    private let state: Mutex<State>

    /// A folder of images of many sizes compiles each layer for each size; beyond this many the oldest is dropped.
    private static let compiledLimit = 8

    /// - Parameters:
    ///   - precision: what the layer computes in. Packing rounds the weights where the processor multiplies in that.
    ///   - quantization: of a layer that multiplies whole numbers.
    init(_ plain: StoredTensor, precision: ComputePrecision, quantization: Quantization?) {
        if let quantization {
            // Each packing brings sums of its own, which no other order can be made of.
            let numbers = quantization.weight
            state = Mutex(State(plain: StoredTensor(shape: numbers.shape) { numbers.numbers() }, packsAnew: true))
        } else if precision == .bfloat16, precision.native == .float32 {
            state = Mutex(
                State(plain: StoredTensor(shape: plain.shape) { Factor(plain(), precision: precision).tensor }))
        } else {
            state = Mutex(State(plain: plain))
        }
    }

    /// Runs the operation for `key`, compiling it and packing the weights if this is its first time.
    ///
    /// A backward pass wants the weights in another order than the forward: a training step holds both.
    func run(
        _ key: Key, source: Factor, bias: Tensor?, destination: UnsafeMutableRawPointer, compile: () -> Operation
    ) {
        let compiled = compiled(key, compile: compile)
        withExtendedLifetime((source, bias, compiled.weights)) {
            compiled.operation.run(
                source: source.pointer, weights: compiled.weights.start, bias: bias?.pointer, destination: destination)
        }
    }

    func compiled(_ key: Key, compile: () -> Operation) -> Compiled {
        state.withLock { state in
            if let known = state.compiled[key] { return known }
            let new = Self.packed(for: compile(), in: &state)
            if state.order.count >= Self.compiledLimit { state.compiled[state.order.removeFirst()] = nil }
            state.order.append(key)
            state.compiled[key] = new
            return new
        }
    }

    /// The weights in the checkpoint's order, for a backward pass; a copy if they are packed already.
    func plain(_ shape: Shape) -> Tensor {
        state.withLock { state in
            if let plain = state.plain { return plain() }
            guard let packing = state.packings.first else { preconditionFailure("weights are either plain or packed") }
            return Tensor(shape) { elements in
                guard let target = elements.baseAddress else { return }
                let status = onednn_unpack_weights(packing.operation.handle, packing.weights.start, target)
                precondition(status == 0, "oneDNN could not unpack a layer's weights: status \(status)")
            }
        }
    }

    /// Spares ``plain(_:)`` the unpacking, at the price of memory; call it before the weights are packed.
    func keepPlain() {
        state.withLock { state in
            guard !state.keepsPlain, let plain = state.plain?() else { return }
            state.keepsPlain = true
            state.plain = StoredTensor(shape: plain.shape) { plain }
        }
    }

    private static func packed(for operation: Operation, in state: inout State) -> Compiled {
        if let same = state.packings.first(where: {
            onednn_packs_weights_alike($0.operation.handle, operation.handle) == 1
        }) {
            return Compiled(operation: operation, weights: same.weights)
        }
        let weights = Storage(lastingByteCount: onednn_packed_weights_size(operation.handle))
        let status: Int32
        if !state.packsAnew, let packing = state.packings.first {
            status = withExtendedLifetime((packing.weights, weights)) {
                onednn_repack_weights(
                    packing.operation.handle, packing.weights.start, operation.handle, weights.start)
            }
        } else if let plain = state.plain?() {
            status = withExtendedLifetime((plain, weights)) {
                onednn_pack_weights(operation.handle, plain.pointer, weights.start)
            }
            if !state.keepsPlain {
                plain.dropMappedPages()
                if !state.packsAnew { state.plain = nil }
            }
        } else {
            preconditionFailure("weights are either plain or packed")
        }
        precondition(status == 0, "oneDNN could not pack a layer's weights: status \(status)")
        let packing = Compiled(operation: operation, weights: weights)
        state.packings.append(packing)
        return packing
    }
}
