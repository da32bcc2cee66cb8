import CKernels

#if !os(Linux)
    import Foundation
#endif

/// Loops over index ranges on the thread pool that the network's products run on: one pool, one thread count, never nested.
public enum Parallel {
    /// The number of processors that this process may use.
    public static var processorCount: Int {
        #if os(Linux)
            Int(omp_get_num_procs())
        #else
            ProcessInfo.processInfo.activeProcessorCount
        #endif
    }

    /// The number of threads that products and loops of the calling thread use.
    package static var threadCount: Int {
        #if os(Linux)
            omp_in_parallel() == 0 ? Int(omp_get_max_threads()) : 1
        #else
            processorCount
        #endif
    }

    /// Runs `body` with `count` threads for every product and loop inside it; the thread's former count is restored.
    ///
    /// OpenMP keeps this number per calling thread, so two tasks can have different ones.
    public static func withThreadCount<Result>(_ count: Int, _ body: () throws -> Result) rethrows -> Result {
        precondition(count > 0, "thread count \(count)")
        #if os(Linux)
            let former = omp_get_max_threads()
            omp_set_num_threads(Int32(clamping: count))
            defer { omp_set_num_threads(former) }
        #endif
        return try body()
    }

    /// Splits `0..<count` evenly among the threads and calls `body` once with each non-empty part.
    ///
    /// - Parameter minimumPerThread: below this many indices a part is not worth waking a thread for.
    public static func forRanges(_ count: Int, minimumPerThread: Int = 1, _ body: (Range<Int>) -> Void) {
        guard count > 0 else { return }
        #if os(Linux)
            let wanted = min(Int(omp_get_max_threads()), max(1, count / max(1, minimumPerThread)))
            guard wanted > 1, omp_in_parallel() == 0 else { return body(0..<count) }
            withoutActuallyEscaping(body) { body in
                var work = PoolWork(count: count, body: body)
                withUnsafeMutablePointer(to: &work) { work in
                    GOMP_parallel(
                        { data in
                            // The pool hands back the pointer it was given, and the call waits for all its threads.
                            guard let work = data?.assumingMemoryBound(to: PoolWork.self) else { return }
                            work.pointee.runPart(Int(omp_get_thread_num()), of: Int(omp_get_num_threads()))
                        }, work, UInt32(wanted), 0)
                }
            }
        #else
            let parts = min(processorCount, max(1, count / max(1, minimumPerThread)))
            withoutActuallyEscaping(body) { body in
                let work = PoolWork(count: count, body: body)
                DispatchQueue.concurrentPerform(iterations: parts) { work.runPart($0, of: parts) }
            }
        #endif
    }
}

/// One parallel loop: who does which part.
private struct PoolWork: @unchecked Sendable {
    // @unchecked: the parts are disjoint, and the caller waits for all of them.
    let count: Int
    let body: (Range<Int>) -> Void

    func runPart(_ part: Int, of parts: Int) {
        let start = count * part / parts
        let end = count * (part + 1) / parts
        if start < end { body(start..<end) }
    }
}
