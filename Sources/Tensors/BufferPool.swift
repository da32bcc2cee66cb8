import Synchronization

/// Keeps freed blocks for the next tensor of about that size.
///
/// The pages of a fresh 68 MB block cost 17 ms to fault in; a network run takes and frees a hundred such blocks.
package final class BufferPool: Sendable {
    package static let shared = BufferPool()

    /// A block of memory with one owner at a time.
    struct Block: @unchecked Sendable {
        // @unchecked: whoever holds the block is the only one who touches its memory.
        let start: UnsafeMutableRawPointer
        let capacity: Int
    }

    private let free = Mutex<[Block]>([])

    /// Smaller blocks go to the system's allocator, which is quick for them.
    private static let smallestPooled = 1 << 16
    private static let alignment = 64

    /// Rounded up to an eighth of its power of two, so that blocks of nearly the same size can serve each other.
    private static func roundedSize(_ byteCount: Int) -> Int {
        guard byteCount >= smallestPooled else { return max(byteCount, 1) }
        let step = 1 << (Int.bitWidth - 1 - byteCount.leadingZeroBitCount - 3)
        return (byteCount + step - 1) / step * step
    }

    func take(byteCount: Int) -> Block {
        let size = Self.roundedSize(byteCount)
        if size >= Self.smallestPooled {
            let reused = free.withLock { free -> Block? in
                // The smallest block that fits, unless it would waste more than a third of itself.
                let fitting = free.indices.filter { free[$0].capacity >= size && free[$0].capacity <= size + size / 2 }
                guard let best = fitting.min(by: { free[$0].capacity < free[$1].capacity }) else { return nil }
                return free.remove(at: best)
            }
            if let reused { return reused }
        }
        return Block(start: .allocate(byteCount: size, alignment: Self.alignment), capacity: size)
    }

    func giveBack(_ block: Block) {
        if block.capacity >= Self.smallestPooled {
            free.withLock { $0.append(block) }
        } else {
            block.start.deallocate()
        }
    }

    /// Returns the unused blocks to the system: after loading, and when the size of the images changes.
    package func trim() {
        let blocks = free.withLock { free in
            defer { free = [] }
            return free
        }
        for block in blocks { block.start.deallocate() }
    }
}
