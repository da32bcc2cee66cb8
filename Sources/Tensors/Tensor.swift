/// A dense array of 32-bit floats, last axis contiguous, with value semantics: copies share memory until one is written to.
public struct Tensor: Sendable {
    public private(set) var shape: Shape
    private var storage: Storage
    /// Fewer elements are not worth a thread of their own to copy or to set.
    private static let smallestPart = 1 << 16
    /// Where this tensor's first element lies in the storage, in elements.
    private var offset: Int

    /// Uninitialised elements: for a caller that writes every one of them next.
    package init(uninitialized shape: Shape) {
        self.shape = shape
        storage = Storage(byteCount: shape.count * MemoryLayout<Float>.stride)
        offset = 0
    }

    /// All elements equal to `value`.
    public init(_ shape: Shape, repeating value: Float = 0) {
        self.init(uninitialized: shape)
        withMutableElements { elements in
            guard let start = elements.baseAddress else { return }
            Parallel.forRanges(elements.count, minimumPerThread: Self.smallestPart) { part in
                (start + part.lowerBound).update(repeating: value, count: part.count)
            }
        }
    }

    /// - Precondition: as many elements as the shape holds.
    public init(_ shape: Shape, _ elements: [Float]) {
        precondition(elements.count == shape.count, "\(elements.count) elements for shape \(shape)")
        self.init(uninitialized: shape)
        withMutableElements { _ = $0.update(fromContentsOf: elements) }
    }

    /// Elements written by `fill`, which must set all of them.
    public init(_ shape: Shape, fill: (UnsafeMutableBufferPointer<Float>) throws -> Void) rethrows {
        self.init(uninitialized: shape)
        try withMutableElements { try fill($0) }
    }

    /// A view of a mapped file's bytes: nothing is read until it is used.
    ///
    /// - Precondition: `byteOffset` is a multiple of 4 and the elements lie inside the file.
    package init(_ shape: Shape, mappedFile: MappedFile, byteOffset: Int) {
        precondition(byteOffset % MemoryLayout<Float>.alignment == 0, "a float at byte \(byteOffset) is not aligned")
        let byteCount = shape.count * MemoryLayout<Float>.stride
        self.shape = shape
        storage = Storage(mappedFile: mappedFile, range: byteOffset..<byteOffset + byteCount)
        offset = 0
    }

    /// A view of memory that holds the shape's elements from a byte on.
    package init(_ shape: Shape, storage: Storage, byteOffset: Int) {
        self.shape = shape
        self.storage = storage
        offset = byteOffset / MemoryLayout<Float>.stride
    }

    /// Where the elements lie.
    package var memory: (storage: Storage, byteOffset: Int) { (storage, offset * MemoryLayout<Float>.stride) }

    public var count: Int { shape.count }

    /// A copy of all elements, in memory order.
    public var elements: [Float] { withElements { Array($0) } }

    public func withElements<Result>(_ body: (UnsafeBufferPointer<Float>) throws -> Result) rethrows -> Result {
        try withExtendedLifetime(storage) { try body(UnsafeBufferPointer(start: pointer, count: count)) }
    }

    /// Copies the elements first if another tensor shares them.
    public mutating func withMutableElements<Result>(
        _ body: (UnsafeMutableBufferPointer<Float>) throws -> Result
    ) rethrows -> Result {
        makeUnique()
        let start = storage.start.assumingMemoryBound(to: Float.self) + offset
        return try withExtendedLifetime(storage) { try body(UnsafeMutableBufferPointer(start: start, count: count)) }
    }

    /// The tensor that `body` writes from this one's elements, each of which it may overwrite once it has read it: in the same
    /// memory where nobody else needs the elements any more, which spares the way to other memory.
    package consuming func rewritten(
        _ body: (_ source: UnsafePointer<Float>, _ target: UnsafeMutablePointer<Float>) -> Void
    ) -> Tensor {
        if isKnownUniquelyReferenced(&storage), storage.isWritable {
            withMutableElements { elements in
                guard let target = elements.baseAddress else { return }
                body(target, target)
            }
            return self
        }
        return Tensor(shape) { elements in
            guard let target = elements.baseAddress else { return }
            withExtendedLifetime(storage) { body(pointer, target) }
        }
    }

    /// The same elements under another shape.
    ///
    /// - Precondition: both shapes hold the same number of elements.
    public func reshaped(_ shape: Shape) -> Tensor {
        precondition(shape.count == self.shape.count, "cannot view \(self.shape) as \(shape)")
        var result = self
        result.shape = shape
        return result
    }

    /// Some rows (slices along the first axis), sharing this tensor's memory.
    public func rows(_ range: Range<Int>) -> Tensor {
        precondition(
            shape.rank > 0 && range.lowerBound >= 0 && range.upperBound <= shape[0], "rows \(range) of \(shape)")
        let rowCount = shape.count / max(1, shape[0])
        var result = self
        result.shape = Shape([range.count] + shape.dimensions.dropFirst())
        result.offset += range.lowerBound * rowCount
        return result
    }

    /// Tells the system that a mapped file's pages behind this tensor are not needed for now.
    package func dropMappedPages() {
        storage.dropMappedPages()
    }

    /// The first element, for the C kernels. Valid while the tensor lives: keep it with `withExtendedLifetime`.
    package var pointer: UnsafePointer<Float> {
        UnsafePointer(storage.start.assumingMemoryBound(to: Float.self) + offset)
    }

    private mutating func makeUnique() {
        if isKnownUniquelyReferenced(&storage), storage.isWritable { return }
        var copy = Tensor(uninitialized: shape)
        copy.withMutableElements { elements in
            guard let target = elements.baseAddress else { return }
            withExtendedLifetime(storage) {
                Parallel.forRanges(elements.count, minimumPerThread: Self.smallestPart) { part in
                    (target + part.lowerBound).update(from: pointer + part.lowerBound, count: part.count)
                }
            }
        }
        self = copy
    }
}

extension Tensor {
    /// The rows (slices along the first axis) of `first`, then those of `second`.
    ///
    /// - Precondition: the shapes agree but for the first axis.
    public static func concatenating(_ first: Tensor, _ second: Tensor) -> Tensor {
        precondition(
            first.shape.rank > 0 && first.shape.dimensions.dropFirst() == second.shape.dimensions.dropFirst(),
            "cannot put \(second.shape) below \(first.shape)")
        let shape = Shape([first.shape[0] + second.shape[0]] + first.shape.dimensions.dropFirst())
        return Tensor(shape) { elements in
            first.withElements { _ = elements[..<first.count].update(fromContentsOf: $0) }
            second.withElements { _ = elements[first.count...].update(fromContentsOf: $0) }
        }
    }
}
