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
            #expect(pool.freeBytes <= used + used / 2)
        }
        #expect(pool.freeBytes > 0)
        let before = pool.freeBytes
        let block = pool.take(byteCount: 1_000_000)
        #expect(pool.freeBytes < before, "a block is cut from the free ones")
        pool.giveBack(block)
    }

    /// Blocks given back in any order become one again, from which any others are cut.
    @Test func poolJoinsNeighbours() {
        let pool = BufferPool()
        let whole = pool.take(byteCount: 1 << 24)
        pool.giveBack(whole)
        var generator = SeededGenerator(seed: 5)
        for _ in 0..<100 {
            let size = Int.random(in: 1 << 16...1 << 20, using: &generator)
            let parts = (0..<12).map { _ in pool.take(byteCount: size) }
            let sorted = parts.sorted { $0.start < $1.start }
            #expect(zip(sorted, sorted.dropFirst()).allSatisfy { $0.start + $0.capacity <= $1.start }, "none overlap")
            #expect(
                pool.freeBytes == (1 << 24) - parts.reduce(0) { $0 + $1.capacity }, "all are cut from the free block")
            for part in parts.shuffled(using: &generator) { pool.giveBack(part) }
        }
        let again = pool.take(byteCount: 1 << 24)
        #expect(again.start == whole.start, "all neighbours are one")
        pool.giveBack(again)
    }
}
