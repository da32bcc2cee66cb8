import COneDNN
import Synchronization
import Tensors

/// A oneDNN operation compiled for one shape; it holds no data and may run on several threads at once.
package final class Operation: @unchecked Sendable {
    // @unchecked: oneDNN's primitives are immutable once created.

    let handle: OpaquePointer

    /// Bytes of scratch memory for one run.
    let scratchpadSize: Int

    /// - Precondition: oneDNN can compile the shape; it has an implementation for every dense float shape.
    init(
        _ description: @autoclosure () -> String, create: (UnsafeMutablePointer<OpaquePointer?>) -> Int32
    ) {
        var handle: OpaquePointer?
        let status = create(&handle)
        guard status == 0, let handle else {
            preconditionFailure("oneDNN cannot compile \(description()): status \(status)")
        }
        self.handle = handle
        scratchpadSize = onednn_scratchpad_size(handle)
    }

    deinit { onednn_operation_destroy(handle) }

    /// Runs the operation on plain pointers whose extents and types the caller has matched to what was compiled.
    func run(
        source: UnsafeRawPointer, weights: UnsafeRawPointer, bias: UnsafePointer<Float>?,
        destination: UnsafeMutableRawPointer
    ) {
        let scratchpad = Storage(byteCount: scratchpadSize)
        let status = withExtendedLifetime(scratchpad) {
            onednn_execute(handle, source, weights, bias, destination, scratchpad.start)
        }
        precondition(status == 0, "oneDNN could not run an operation: status \(status)")
    }
}

/// Compiled operations of one kind, by what they compute and by how many threads share it.
///
/// A model for training is built anew at every step: its operations outlive it here. Threads that want the same operation at the
/// same time may compile it twice; none waits for another's.
final class OperationCache<Computation: Hashable & Sendable>: Sendable {
    private struct Key: Hashable {
        var computation: Computation
        var threads: Int
    }

    private struct State {
        var compiled: [Key: Operation] = [:]
        /// The keys of `compiled`, oldest first.
        var order: [Key] = []
        var limit: Int

        /// Makes room for many at once, because an array gives up its first elements only by moving all others.
        mutating func dropOldest(_ count: Int) {
            for key in order.prefix(count) { compiled[key] = nil }
            order.removeFirst(count)
        }
    }

    private let state: Mutex<State>

    /// A convolution of a ResNet-18 takes 250 kB, its gradients 58 and 64 kB: the mean growth of VmRSS over 500 to 2000 of each,
    /// for images of 320 to 640 by 512 to 1312 pixels, with oneDNN 2.6.3; a batched product takes 90 kB.
    ///
    /// - Parameter limit: at least 4; where there are so many, the oldest quarter is dropped for the next. The usual one is that of a
    ///   network that only detects, whose layers themselves keep what their last sizes of image need.
    init(limit: Int = 512) {
        precondition(limit >= 4, "a cache of \(limit) operations")
        state = Mutex(State(limit: limit))
    }

    /// Keeps as many as a training needs, some 400 MB when it has seen 60 sizes of image; with fewer it would spend a fifth of a
    /// second of each step on compiling again.
    func keepForTraining() { state.withLock { $0.limit = max($0.limit, 3072) } }

    func operation(for computation: Computation, compile: () -> Operation) -> Operation {
        let key = Key(computation: computation, threads: Parallel.threadCount)
        if let known = state.withLock({ $0.compiled[key] }) { return known }
        let new = compile()
        return state.withLock { state in
            if let known = state.compiled[key] { return known }
            if state.order.count >= state.limit { state.dropOldest(state.limit / 4) }
            state.order.append(key)
            state.compiled[key] = new
            return new
        }
    }
}

/// What a product does with its result before storing it: + bias, + residual, then ReLU.
struct Epilogue: Hashable, Sendable {
    var hasBias: Bool
    var addsResidual: Bool
    var activation: Activation

    var bridged: onednn_epilogue {
        onednn_epilogue(
            has_bias: hasBias ? 1 : 0, adds_destination: addsResidual ? 1 : 0,
            has_relu: activation == .relu ? 1 : 0, scales: nil, scale_count: 0, added_type: onednn_float32,
            added_scale: 0)
    }

    /// Calls `body` with the epilogue of an operation whose sums count steps.
    ///
    /// - Parameters:
    ///   - scales: what each output channel is multiplied by; nil for 1.
    ///   - added: how what is added lies in memory; nil: as the result.
    func withBridged<Result>(
        scales: [Float]?, added: Encoding?, result: Encoding, _ body: (onednn_epilogue) -> Result
    ) -> Result {
        var bridged = bridged
        if addsResidual, let added, added != result {
            bridged.added_type = added.bridged
            bridged.added_scale = added.step / result.step
        }
        guard let scales else { return body(bridged) }
        return scales.withUnsafeBufferPointer { scales in
            bridged.scales = scales.baseAddress
            bridged.scale_count = Int64(scales.count)
            return body(bridged)
        }
    }
}

/// An elementwise function fused into the product before it.
public enum Activation: Sendable, Hashable {
    case none
    /// max(0, x)
    case relu
}

/// The version of oneDNN in use, such as "2.6.3".
public var oneDNNVersion: String { String(cString: onednn_version_text()) }
