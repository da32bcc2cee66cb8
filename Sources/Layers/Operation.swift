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
/// A model for training is built anew at every step: its operations outlive it here.
final class OperationCache<Computation: Hashable & Sendable>: Sendable {
    private struct Key: Hashable {
        var computation: Computation
        var threads: Int
    }

    /// Some tens serve a model at one input size; training sees many sizes. An operation is some tens of kilobytes of code.
    private static var limit: Int { 4096 }
    private let compiled = Mutex<[Key: Operation]>([:])

    func operation(for computation: Computation, compile: () -> Operation) -> Operation {
        let key = Key(computation: computation, threads: Parallel.threadCount)
        return compiled.withLock { compiled in
            if let known = compiled[key] { return known }
            if compiled.count >= Self.limit { compiled = [:] }
            let new = compile()
            compiled[key] = new
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
            has_relu: activation == .relu ? 1 : 0)
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
