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

    public init(_ sizes: [ValidSize]) {
        self.sizes = sizes
        var starts: [Int] = []
        var count = 0
        for size in sizes {
            starts.append(count)
            count += size.height * size.width
        }
        self.starts = starts
        self.count = count
    }

    public var levels: Int { sizes.count }

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

    /// - Precondition: `values` is `[N, layout.count, C]` with one list of `layout.levels` sizes an image.
    public init(values: Tensor, layout: LevelLayout, validSizes: [[ValidSize]]) {
        precondition(
            values.shape.rank == 3 && values.shape[1] == layout.count && values.shape[0] == validSizes.count
                && validSizes.allSatisfy { $0.count == layout.levels },
            "\(values.shape) for \(layout.count) locations and \(validSizes.count) images")
        self.values = values
        self.layout = layout
        self.validSizes = validSizes
    }

    public var images: Int { values.shape[0] }

    public func hasPadding(image: Int) -> Bool { validSizes[image] != layout.sizes }

    /// Replaces the values by what `transform` makes of them; it may reuse their memory if nobody else holds them.
    public mutating func updateValues(_ transform: (consuming Tensor) -> Tensor) {
        let current = values
        values = Tensor([0])
        values = transform(consume current)
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
        guard (0..<images).contains(where: hasPadding) else { return }
        let channels = sequence.shape.last
        sequence.withMutableElements { elements in
            for image in 0..<images {
                for (level, size) in layout.sizes.enumerated() {
                    let valid = validSizes[image][level]
                    for row in 0..<size.height {
                        let start = image * layout.count + layout.starts[level] + row * size.width
                        let firstPadded = row < valid.height ? valid.width : 0
                        elements[(start + firstPadded) * channels..<(start + size.width) * channels]
                            .update(repeating: 0)
                    }
                }
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
