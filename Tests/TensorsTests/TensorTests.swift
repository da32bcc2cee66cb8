import Tensors
import Testing

@Suite struct TensorTests {
    @Test func copiesShareUntilWritten() {
        let original = Tensor([2, 3], [0, 1, 2, 3, 4, 5])
        var copy = original
        copy.withMutableElements { $0[0] = 9 }
        #expect(original.elements == [0, 1, 2, 3, 4, 5])
        #expect(copy.elements == [9, 1, 2, 3, 4, 5])
    }

    @Test func parallelRangesCoverEveryIndexOnce() {
        for threads in [1, 2, 3, 7] {
            Parallel.withThreadCount(threads) {
                for count in [0, 1, 2, 5, 1000] {
                    let visits = Tensor([count]) { visits in
                        visits.update(repeating: 0)
                        nonisolated(unsafe) let visits = visits
                        Parallel.forRanges(count) { range in for index in range { visits[index] += 1 } }
                    }
                    #expect(visits.elements.allSatisfy { $0 == 1 })
                }
            }
        }
    }

    /// Blocks that are reused belong to one tensor at a time.
    @Test func storageIsReusedWithoutMixingUp() {
        for round in 1...3 {
            var kept: [Tensor] = []
            for size in stride(from: 20_000, to: 200_000, by: 7_919) {
                let first = Tensor([size], repeating: Float(size * round))
                _ = Tensor([size + 1], repeating: -1)
                kept.append(first)
            }
            for tensor in kept { #expect(tensor.elements.allSatisfy { $0 == Float(tensor.count * round) }) }
        }
    }

    /// What the pool keeps is bounded by what was in use at once: many sizes do not add up.
    @Test func poolKeepsNoMoreThanWasUsedAtOnce() {
        let pool = BufferPool()
        for size in stride(from: 1 << 17, to: 1 << 22, by: 99_991) {
            let blocks = [pool.take(byteCount: size), pool.take(byteCount: size / 2)]
            let used = blocks.reduce(0) { $0 + $1.capacity }
            for block in blocks { pool.giveBack(block) }
            // Sizes grow, so the most used at once is this round's.
            #expect(pool.freeBytes <= used + used / 4)
        }
        #expect(pool.freeBytes > 0)
        let before = pool.freeBytes
        let block = pool.take(byteCount: 4_000_000)
        #expect(pool.freeBytes < before, "a block of about that size is reused")
        pool.giveBack(block)
    }
}
