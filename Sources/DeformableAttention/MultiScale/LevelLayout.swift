import Layers
import Tensors

/// The maps of several scales as one sequence: level after level, each row by row.
public struct LevelLayout: Sendable, Hashable {
    /// The height and width of each level, padding included.
    public let sizes: [ValidSize]
    /// Where each level begins in the sequence.
    public let starts: [Int]
    /// S, the sequence's length.
    public let count: Int

    /// - Throws: ``DeformableAttentionError/input(_:)`` for a negative extent, or more locations than `Int` holds.
    public init(levels sizes: [ValidSize]) throws(DeformableAttentionError) {
        var count = 0
        for size in sizes {
            let area = Shape.checkedCount(of: [size.height, size.width])
            let (sum, overflow) = count.addingReportingOverflow(area ?? .max)
            guard area != nil, !overflow else { throw .input("levels of impossible sizes: \(sizes)") }
            count = sum
        }
        self.init(sizes)
    }

    /// For the sizes of maps that exist.
    package init(_ sizes: [ValidSize]) {
        self.sizes = sizes
        var starts: [Int] = []
        var count = 0
        for size in sizes {
            starts.append(count)
            count += Shape([size.height, size.width]).count
        }
        self.starts = starts
        self.count = count
    }

    public var levels: Int { sizes.count }

    /// Calls `body` with each part of `range` that lies in one row of a level: the level, the row, and the columns.
    package func forEachRow(in range: Range<Int>, _ body: (_ level: Int, _ row: Int, _ columns: Range<Int>) -> Void) {
        var level = starts.lastIndex { $0 <= range.lowerBound } ?? 0
        var index = range.lowerBound
        while index < range.upperBound {
            let (row, column) = (index - starts[level]).quotientAndRemainder(dividingBy: sizes[level].width)
            let count = min(sizes[level].width - column, range.upperBound - index)
            body(level, row, column..<column + count)
            index += count
            while index < range.upperBound, level + 1 < levels, starts[level + 1] <= index { level += 1 }
        }
    }

    /// The rows of one level.
    public func range(of level: Int) -> Range<Int> {
        starts[level]..<starts[level] + sizes[level].height * sizes[level].width
    }
}

/// Multi-scale features of a batch as one sequence an image.
public struct FeatureSequence: Sendable {
    /// `[N, S, C]`.
    public var values: Tensor
    public let layout: LevelLayout
    /// `[N][L]`: the part of each level that holds the image; the rest is padding.
    public let validSizes: [[ValidSize]]

    /// - Parameters:
    ///   - values: `[N, S, C]`.
    ///   - layout: of S locations.
    ///   - validSizes: one list of L sizes an image, none larger than its level; nil for a batch without padding.
    /// - Throws: ``DeformableAttentionError/input(_:)`` with what disagrees.
    public init(
        values: Tensor, of layout: LevelLayout, validSizes: [[ValidSize]]? = nil
    ) throws(DeformableAttentionError) {
        let shape = values.shape
        // An empty tensor's shape may claim any number of images.
        guard shape.rank == 3, shape[0] <= Self.largestBatch, shape[1] == layout.count else {
            throw .input("values \(shape), expected [N, \(layout.count), C] with N up to \(Self.largestBatch)")
        }
        let validSizes = validSizes ?? Array(repeating: layout.sizes, count: shape[0])
        guard validSizes.count == shape[0] else {
            throw .input("valid sizes of \(validSizes.count) images for values \(shape)")
        }
        for (image, sizes) in validSizes.enumerated() where !Self.fit(sizes, layout) {
            throw .input("valid sizes \(sizes) of image \(image) in levels of \(layout.sizes)")
        }
        self.init(values: values, layout: layout, validSizes: validSizes)
    }

    /// Whether each level has a valid size, none larger than it.
    private static func fit(_ sizes: [ValidSize], _ layout: LevelLayout) -> Bool {
        sizes.count == layout.levels
            && zip(sizes, layout.sizes).allSatisfy { valid, size in
                (0...size.height).contains(valid.height) && (0...size.width).contains(valid.width)
            }
    }

    /// For values and sizes that belong together.
    package init(values: Tensor, layout: LevelLayout, validSizes: [[ValidSize]]) {
        precondition(
            values.shape.rank == 3 && values.shape[1] == layout.count && values.shape[0] == validSizes.count,
            "values \(values.shape), expected [\(validSizes.count), \(layout.count), C] for levels \(layout.sizes)")
        for sizes in validSizes {
            precondition(Self.fit(sizes, layout), "valid sizes \(sizes) in levels of \(layout.sizes)")
        }
        self.values = values
        self.layout = layout
        self.validSizes = validSizes
    }

    /// A batch without padding, of values that fill the levels.
    package init(values: Tensor, layout: LevelLayout) {
        precondition(
            values.shape.rank == 3 && values.shape[0] <= Self.largestBatch,
            "values \(values.shape), expected [N, \(layout.count), C] with N up to \(Self.largestBatch)")
        self.init(
            values: values, layout: layout, validSizes: Array(repeating: layout.sizes, count: values.shape[0]))
    }

    /// The most images of a batch.
    package static let largestBatch = 1 << 20

    public var images: Int { values.shape[0] }

    public func hasPadding(image: Int) -> Bool { validSizes[image] != layout.sizes }

    /// Changes the values' elements, `[N, S, C]`, where they lie; copies them first if another tensor shares them.
    package mutating func withMutableElements<Result>(
        _ body: (UnsafeMutableBufferPointer<Float>) throws -> Result
    ) rethrows -> Result {
        try values.withMutableElements(body)
    }

    /// The share of each level's width and height that one image fills, `[L]`.
    ///
    /// - Source: `get_valid_ratio` in `models/deformable_transformer.py`.
    public func validRatios(image: Int) -> [(width: Float, height: Float)] {
        zip(validSizes[image], layout.sizes).map { valid, size in
            (Float(valid.width) / Float(size.width), Float(valid.height) / Float(size.height))
        }
    }

    /// Sets every padded location of `sequence`, shaped like `values` but for its channels, to zero.
    public func clearPadding(of sequence: inout Tensor) {
        precondition(
            sequence.shape.rank == 3 && sequence.shape[0] == validSizes.count && sequence.shape[1] == layout.count,
            "\(sequence.shape), expected [\(validSizes.count), \(layout.count), C]")
        guard validSizes.indices.contains(where: hasPadding) else { return }
        let channels = sequence.shape.last
        sequence.withMutableElements { elements in
            for image in validSizes.indices where hasPadding(image: image) {
                for range in paddedRanges(image: image) {
                    let start = image * layout.count
                    elements[(start + range.lowerBound) * channels..<(start + range.upperBound) * channels]
                        .update(repeating: 0)
                }
            }
        }
    }

    /// The same for values in another format.
    package func clearPadding(of sequence: inout Factor) {
        guard validSizes.indices.contains(where: hasPadding) else { return }
        let rowSize = sequence.shape.last * sequence.encoding.size
        sequence.withMutableBytes { start in
            for image in validSizes.indices where hasPadding(image: image) {
                for range in paddedRanges(image: image) {
                    (start + (image * layout.count + range.lowerBound) * rowSize)
                        .initializeMemory(as: UInt8.self, repeating: 0, count: range.count * rowSize)
                }
            }
        }
    }

    /// The locations of an image that are padding, in order.
    func paddedRanges(image: Int) -> [Range<Int>] {
        layout.sizes.enumerated().flatMap { level, size in
            let valid = validSizes[image][level]
            return (0..<size.height).map { row in
                let start = layout.starts[level] + row * size.width
                return start + (row < valid.height ? valid.width : 0)..<start + size.width
            }
        }
    }
}

extension Tensor {
    /// One level of a sequence `[N, S, C]` as a map `[N, H, W, C]`; a copy.
    public func map(ofLevel level: Int, in layout: LevelLayout) -> Tensor {
        precondition(shape.rank == 3 && shape[1] == layout.count, "\(shape) with \(layout.count) locations")
        let size = layout.sizes[level]
        let count = size.height * size.width * shape[2]
        return Tensor([shape[0], size.height, size.width, shape[2]]) { map in
            withElements { sequence in
                for image in 0..<shape[0] {
                    let start = (image * layout.count + layout.starts[level]) * shape[2]
                    _ = map[image * count..<(image + 1) * count].update(fromContentsOf: sequence[start..<start + count])
                }
            }
        }
    }
}
