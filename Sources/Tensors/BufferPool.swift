import Synchronization

/// Keeps freed blocks for the next tensor of about that size.
///
/// The pages of a fresh 68 MB block (one map of the backbone's first stage) cost 23 ms to fault in, several times an image.
/// What the pool keeps is bounded by what was in use at once, so images of many sizes do not add up.
package final class BufferPool: Sendable {
    package static let shared = BufferPool()

    /// A block of memory with one owner at a time.
    package struct Block: @unchecked Sendable {
        // @unchecked: whoever holds the block is the only one who touches its memory.
        package let start: UnsafeMutableRawPointer
        package let capacity: Int
    }

    private struct State {
        /// The blocks that nobody uses, longest unused first.
        var free: [Block] = []
        var freeBytes = 0
        var usedBytes = 0
        var mostUsedBytes = 0
    }

    private let state = Mutex(State())

    package init() {}

    /// Bytes of the blocks that nobody uses.
    package var freeBytes: Int { state.withLock { $0.freeBytes } }

    /// Smaller blocks go to the system's allocator, which is quick for them.
    private static let smallestPooled = 1 << 16
    private static let alignment = 64

    /// Rounded up to an eighth of its power of two, so that blocks of nearly the same size can serve each other.
    private static func roundedSize(_ byteCount: Int) -> Int {
        guard byteCount >= smallestPooled else { return max(byteCount, 1) }
        let step = 1 << (Int.bitWidth - 1 - byteCount.leadingZeroBitCount - 3)
        return (byteCount + step - 1) / step * step
    }

    package func take(byteCount: Int) -> Block {
        let size = Self.roundedSize(byteCount)
        guard size >= Self.smallestPooled else { return Self.allocate(size) }
        let reused = state.withLock { state -> Block? in
            // The smallest block that fits, unless it would waste more than a third of itself.
            let fitting = state.free.indices.filter {
                state.free[$0].capacity >= size && state.free[$0].capacity <= size + size / 2
            }
            let best = fitting.min { state.free[$0].capacity < state.free[$1].capacity }
            let block = best.map { state.free.remove(at: $0) }
            state.freeBytes -= block?.capacity ?? 0
            state.usedBytes += block?.capacity ?? size
            state.mostUsedBytes = max(state.mostUsedBytes, state.usedBytes)
            return block
        }
        return reused ?? Self.allocate(size)
    }

    package func giveBack(_ block: Block) {
        guard block.capacity >= Self.smallestPooled else { return block.start.deallocate() }
        let surplus = state.withLock { state in
            state.free.append(block)
            state.freeBytes += block.capacity
            state.usedBytes -= block.capacity
            // Used and unused blocks together stay below 5/4 of the most that was used at once.
            var surplus: [Block] = []
            while state.usedBytes + state.freeBytes > state.mostUsedBytes + state.mostUsedBytes / 4 {
                let oldest = state.free.removeFirst()
                state.freeBytes -= oldest.capacity
                surplus.append(oldest)
            }
            return surplus
        }
        for block in surplus { block.start.deallocate() }
    }

    private static func allocate(_ size: Int) -> Block {
        Block(start: .allocate(byteCount: size, alignment: alignment), capacity: size)
    }
}
