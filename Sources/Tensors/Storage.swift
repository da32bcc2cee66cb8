/// A block of memory that tensors share: 64-byte aligned (a cache line, and the widest vector), or a part of a mapped file.
///
/// Blocks come from ``BufferPool`` and go back to it, so that a network's second run touches no new pages.
package final class Storage: @unchecked Sendable {
    // @unchecked: the memory is written only by a tensor that is the sole owner of its storage (copy on write).

    package let start: UnsafeMutableRawPointer
    package let byteCount: Int
    private let block: BufferPool.Block?
    private let mappedFile: MappedFile?

    /// Uninitialised memory for `byteCount` bytes.
    package init(byteCount: Int) {
        let block = BufferPool.shared.take(byteCount: byteCount)
        self.byteCount = byteCount
        self.block = block
        start = block.start
        mappedFile = nil
    }

    /// A read-only view of `range` of a mapped file. A tensor over it copies itself before its first write.
    package init(mappedFile: MappedFile, range: Range<Int>) {
        precondition(
            range.lowerBound >= 0 && range.upperBound <= mappedFile.bytes.count, "view outside the mapped file")
        byteCount = range.count
        block = nil
        self.mappedFile = mappedFile
        // Never written through: `isWritable` is false.
        start = UnsafeMutableRawPointer(mutating: mappedFile.start + range.lowerBound)
    }

    package var isWritable: Bool { mappedFile == nil }

    /// Lets go of the pages of a mapped file; they are read again when they are touched again.
    package func dropMappedPages() {
        guard let mappedFile else { return }
        let offset = UnsafeRawPointer(start) - mappedFile.start
        mappedFile.dropPages(in: offset..<offset + byteCount)
    }

    deinit {
        if let block { BufferPool.shared.giveBack(block) }
    }
}
