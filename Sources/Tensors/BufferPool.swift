import Synchronization

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Keeps freed memory for the next tensors, of whatever sizes.
///
/// Fresh pages are dear: a network at 800x1333 that took new ones for what did not fit its old ones spent 4% of its time on that.
/// Neighbouring free blocks become one, and a block is cut from the smallest that is large enough; so what one stage of a network
/// gives back serves the next. The pool has at most half more than was in use at once: images of many sizes do not add up.
package final class BufferPool: Sendable {
    package static let shared = BufferPool()

    /// A block of memory with one owner at a time, whole pages of it unless it is small.
    package struct Block: @unchecked Sendable {
        // @unchecked: whoever holds the block is the only one who touches its memory.
        package let start: UnsafeMutableRawPointer
        package let capacity: Int

        fileprivate var end: UnsafeMutableRawPointer { start + capacity }

        fileprivate func prefix(_ count: Int) -> Block { Block(start: start, capacity: count) }
        fileprivate func suffix(_ count: Int) -> Block { Block(start: end - count, capacity: count) }
    }

    private struct State {
        /// The blocks that nobody uses, by address; no two of them touch.
        var free: [Block] = []
        var freeBytes = 0
        var usedBytes = 0
        var mostUsedBytes = 0

        /// Cuts a block from the smallest that is large enough; nil if none is.
        mutating func take(_ size: Int) -> Block? {
            usedBytes += size
            mostUsedBytes = max(mostUsedBytes, usedBytes)
            let fitting = free.indices.filter { free[$0].capacity >= size }
            guard let best = fitting.min(by: { free[$0].capacity < free[$1].capacity }) else { return nil }
            let block = free[best]
            freeBytes -= size
            if block.capacity == size {
                free.remove(at: best)
            } else {
                free[best] = block.suffix(block.capacity - size)
            }
            return block.prefix(size)
        }

        /// Puts a block among the free ones, as one with those that it touches.
        mutating func giveBack(_ block: Block) {
            usedBytes -= block.capacity
            freeBytes += block.capacity
            let next = free.firstIndex { $0.start > block.start } ?? free.endIndex
            var joined = block
            var replaced = next..<next
            if next > 0, free[next - 1].end == block.start {
                joined = Block(start: free[next - 1].start, capacity: free[next - 1].capacity + block.capacity)
                replaced = next - 1..<next
            }
            if next < free.endIndex, free[next].start == block.end {
                joined = Block(start: joined.start, capacity: joined.capacity + free[next].capacity)
                replaced = replaced.lowerBound..<next + 1
            }
            free.replaceSubrange(replaced, with: CollectionOfOne(joined))
        }

        /// Takes out what is beyond the limit, from the ends of the largest free blocks.
        mutating func surplus() -> [Block] {
            var surplus: [Block] = []
            let limit = mostUsedBytes + mostUsedBytes / 2
            while usedBytes + freeBytes > limit,
                let largest = free.indices.max(by: { free[$0].capacity < free[$1].capacity })
            {
                let block = free[largest]
                let excess = min(BufferPool.inPages(usedBytes + freeBytes - limit), block.capacity)
                surplus.append(block.suffix(excess))
                if excess == block.capacity {
                    free.remove(at: largest)
                } else {
                    free[largest] = block.prefix(block.capacity - excess)
                }
                freeBytes -= excess
            }
            return surplus
        }
    }

    private let state = Mutex(State())

    package init() {}

    /// Bytes of the blocks that nobody uses.
    package var freeBytes: Int { state.withLock { $0.freeBytes } }

    /// Smaller blocks go to the system's allocator, which is quick for them.
    private static let smallestPooled = 1 << 16
    private static let alignment = 64
    private static let page = Int(sysconf(Int32(_SC_PAGESIZE)))

    private static func inPages(_ byteCount: Int) -> Int { (byteCount + page - 1) / page * page }

    package func take(byteCount: Int) -> Block {
        guard byteCount >= Self.smallestPooled else {
            let size = max(byteCount, 1)
            return Block(start: .allocate(byteCount: size, alignment: Self.alignment), capacity: size)
        }
        let size = Self.inPages(byteCount)
        return state.withLock { $0.take(size) } ?? Self.map(size)
    }

    package func giveBack(_ block: Block) {
        guard block.capacity >= Self.smallestPooled else { return block.start.deallocate() }
        let surplus = state.withLock { state in
            state.giveBack(block)
            return state.surplus()
        }
        for block in surplus { munmap(block.start, block.capacity) }
    }

    /// New pages from the system, which as a rule lie beside those before them.
    private static func map(_ size: Int) -> Block {
        let pages = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let pages, pages != MAP_FAILED else { fatalError("out of memory: \(size) bytes for a tensor") }
        return Block(start: pages, capacity: size)
    }
}
