/// A block of memory that tensors share: 64-byte aligned (a cache line, and the widest vector), or a part of a mapped file.
///
/// Blocks come from ``BufferPool`` and go back to it, so that a network's second run touches no new pages.
package final class Storage: @unchecked Sendable {
    // @unchecked: the memory is written only by a tensor that is the sole owner of its storage (copy on write).

    package let start: UnsafeMutableRawPointer
    package let byteCount: Int
    private let origin: Origin

    private enum Origin {
        case pool(BufferPool.Block)
        case system
        case file(MappedFile)
    }

    /// Uninitialised memory for `byteCount` bytes.
    package init(byteCount: Int) {
        let block = BufferPool.shared.take(byteCount: byteCount)
        self.byteCount = byteCount
        origin = .pool(block)
        start = block.start
    }

    /// Uninitialised memory for what outlives a network's run, such as weights: in the pool it would lie between the blocks that
    /// come and go, and keep them apart.
    package init(lastingByteCount byteCount: Int) {
        self.byteCount = byteCount
        origin = .system
        start = .allocate(byteCount: max(byteCount, 1), alignment: 64)
    }

    /// A read-only view of `range` of a mapped file. A tensor over it copies itself before its first write.
    package init(mappedFile: MappedFile, range: Range<Int>) {
        precondition(
            range.lowerBound >= 0 && range.upperBound <= mappedFile.bytes.count, "view outside the mapped file")
        byteCount = range.count
        origin = .file(mappedFile)
        // Never written through: `isWritable` is false.
        start = UnsafeMutableRawPointer(mutating: mappedFile.start + range.lowerBound)
    }

    package var isWritable: Bool { mappedFile == nil }

    private var mappedFile: MappedFile? {
        guard case .file(let file) = origin else { return nil }
        return file
    }

    /// Lets go of the pages of a mapped file; they are read again when they are touched again.
    package func dropMappedPages() {
        guard let mappedFile else { return }
        let offset = UnsafeRawPointer(start) - mappedFile.start
        mappedFile.dropPages(in: offset..<offset + byteCount)
    }

    deinit {
        switch origin {
        case .pool(let block): BufferPool.shared.giveBack(block)
        case .system: start.deallocate()
        case .file: break
        }
    }
}
