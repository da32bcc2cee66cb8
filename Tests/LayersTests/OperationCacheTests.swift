// Compiled operations are kept up to a limit, and any number of threads may ask for them.

import Dispatch
import Synchronization
import Tensors
import Testing

@testable import Layers

@Suite struct OperationCacheTests {
    private static func computation(_ width: Int) -> Conv2D.Computation {
        Conv2D.Computation(
            result: .inputGradient, factors: .float32, geometry: Conv2D.Geometry(kernel: 1), input: [1, 2, width, 3],
            output: [1, 2, width, 5])
    }

    /// The numbers of those that were compiled.
    private static func compiled(_ widths: [Int], _ cache: OperationCache<Conv2D.Computation>) -> [Int] {
        var compiled: [Int] = []
        for width in widths {
            let computation = computation(width)
            _ = cache.operation(for: computation) {
                compiled.append(width)
                return computation.compile()
            }
        }
        return compiled
    }

    @Test func aFullCacheDropsTheOldestQuarter() {
        let cache = OperationCache<Conv2D.Computation>(limit: 8)
        #expect(Self.compiled(Array(1...8), cache) == Array(1...8))
        #expect(Self.compiled(Array(1...8), cache) == [])
        // The ninth drops two.
        #expect(Self.compiled([9], cache) == [9])
        #expect(Self.compiled([3, 4, 5, 6, 7, 8, 9], cache) == [])
        #expect(Self.compiled([1, 2, 5, 3], cache) == [1, 2, 3])
    }

    /// A thread that compiles does not hold up the others; whatever came first stays.
    @Test func threadsCompileBesideEachOther() {
        let cache = OperationCache<Conv2D.Computation>(limit: 8)
        let computation = Self.computation(1)
        let outer = cache.operation(for: computation) {
            // The lock is free: asking for the same again, or for something else, comes back.
            _ = Self.compiled([2], cache)
            _ = cache.operation(for: computation, compile: computation.compile)
            return computation.compile()
        }
        let first = cache.operation(for: computation) {
            Issue.record("compiled again")
            return computation.compile()
        }
        #expect(outer === first)

        let operations = Mutex<[Operation]>([])
        DispatchQueue.concurrentPerform(iterations: 16) { index in
            let computation = Self.computation(3 + index % 2)
            let operation = cache.operation(for: computation, compile: computation.compile)
            operations.withLock { $0.append(operation) }
        }
        #expect(Set(operations.withLock { $0.map(ObjectIdentifier.init) }).count == 2)
    }
}
