import Tensors

/// The extents of one input map and of the grid that is sampled from it.
struct GridLayout: Sendable, Hashable {
    /// N
    let images: Int
    /// One entry an axis, outermost first.
    let inputExtents: [Int]
    /// n', one entry an axis, outermost first.
    let sampledExtents: [Int]

    /// n
    var rank: Int { inputExtents.count }
    /// S, the positions of the map.
    var positions: Int { inputExtents.reduce(1, *) }
    /// P, the samples of an image's group.
    var samples: Int { sampledExtents.reduce(1, *) }
}

extension DeformableMultiHeadAttention.Configuration {
    /// Checks an input's shape.
    ///
    /// An axis of extent e is sampled at `(e + 2 ((k - r) / 2) - k) / r + 1 = e / r` places (whole division).
    ///
    /// - Parameter shape: expected `[N, extents..., C]`.
    /// - Throws: ``DeformableAttentionError/input(_:)``.
    func layout(of shape: Shape) throws -> GridLayout {
        let names = [["length"], ["H", "W"], ["F", "H", "W"]][rank - 1]
        let expected = "[\((["N"] + names + ["\(width)"]).joined(separator: ", "))]"
        guard shape.rank == rank + 2 else {
            throw DeformableAttentionError.input("shape \(shape) has \(shape.rank) axes, expected \(expected)")
        }
        guard shape.last == width else {
            throw DeformableAttentionError.input("shape \(shape) has \(shape.last) channels, expected \(expected)")
        }
        let extents = Array(shape.dimensions.dropFirst().dropLast())
        for (axis, extent) in extents.enumerated() where extent < downsampling[axis] {
            throw DeformableAttentionError.input(
                "shape \(shape), expected \(expected) with \(names[axis]) at least \(downsampling[axis]),"
                    + " found \(extent): too small for a single sample")
        }
        return GridLayout(
            images: shape[0], inputExtents: extents, sampledExtents: zip(extents, downsampling).map { $0 / $1 })
    }
}
