/// The extents of a tensor, outermost axis first; the last axis is contiguous in memory.
public struct Shape: Sendable, Hashable, ExpressibleByArrayLiteral, CustomStringConvertible {
    public let dimensions: [Int]

    /// - Precondition: no extent is negative and the product fits in `Int`. For extents read from a file, ask
    ///   ``checkedCount(of:)`` first.
    public init(_ dimensions: [Int]) {
        precondition(Self.checkedCount(of: dimensions) != nil, "impossible shape \(dimensions)")
        self.dimensions = dimensions
    }

    public init(arrayLiteral dimensions: Int...) {
        self.init(dimensions)
    }

    /// The number of elements; 1 for a scalar (no axes).
    public var count: Int { dimensions.reduce(1, *) }

    public var rank: Int { dimensions.count }

    public subscript(axis: Int) -> Int { dimensions[axis] }

    public var last: Int { dimensions.last ?? 1 }

    public var description: String { "[" + dimensions.map(String.init).joined(separator: ", ") + "]" }

    /// The product of `dimensions`, or nil when one is negative or the product does not fit in `Int`: for untrusted extents.
    public static func checkedCount(of dimensions: [Int]) -> Int? {
        var count = 1
        for extent in dimensions {
            guard extent >= 0 else { return nil }
            let (product, overflow) = count.multipliedReportingOverflow(by: extent)
            if overflow { return nil }
            count = product
        }
        return count
    }
}
