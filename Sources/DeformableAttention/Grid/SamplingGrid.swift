import Tensors

/// The grid of places that keys and values are sampled from, and what a place means to the sampler and to the position bias.
///
/// A location has n components, in the package's order: 1-D (position), 2-D (x, y), 3-D (frame, row, column). Component c of
/// the unmoved grid is the index along one axis of the sampled grid; moved by its offset it becomes a location in -1...1,
/// `v = 2 (index + offset) / max(e - 1, 1) - 1`. The positions of the queries are normalised alike, with the extents of the map.
///
/// - Source: `create_grid_like` and `normalize_grid` of deformable-attention 0.0.20.
struct SamplingGrid: Sendable {
    /// Three roles of one component of a location; axes are numbered outermost first.
    struct Component: Sendable, Hashable {
        /// The axis whose index the component is.
        var axis: Int
        /// The axis whose extent e divides it.
        var dividingAxis: Int
        /// The axis of the map that it is sampled along.
        var sampledAxis: Int
    }

    let layout: GridLayout
    /// n of them.
    let components: [Component]

    init(_ layout: GridLayout, geometry: DeformableMultiHeadAttention.Geometry) {
        self.layout = layout
        components = geometry.components(rank: layout.rank)
    }

    /// Where the samples lie, in steps of the sampled grid.
    ///
    /// - Parameter offsets: `[N, P, G, n]`.
    /// - Returns: `[N, G, P, n]`.
    func places(offsets: Tensor) -> Tensor {
        let indices = Self.indices(layout.sampledExtents, components)
        var places = offsets.swappingMiddleAxes
        places.withMutableElements { places in
            for element in places.indices { places[element] += indices[element % indices.count] }
        }
        return places
    }

    /// Places in steps of the sampled grid as locations in -1...1; the shape stays, n is the last axis.
    func locations(places: Tensor) -> Tensor {
        normalized(places, extents: layout.sampledExtents)
    }

    /// The gradient of offsets, `[N, P, G, n]`, from that of locations, `[N, G, P, n]`.
    func offsetGradient(locationGradient: Tensor) -> Tensor {
        let divisors = divisors(layout.sampledExtents)
        var gradient = locationGradient.swappingMiddleAxes
        gradient.withMutableElements { elements in
            for index in elements.indices { elements[index] *= 2 / divisors[index % divisors.count] }
        }
        return gradient
    }

    /// The positions of the map, `[S, n]`, in -1...1.
    var queryPositions: Tensor {
        normalized(
            Tensor([layout.positions, layout.rank], Self.indices(layout.inputExtents, components)),
            extents: layout.inputExtents)
    }

    /// In this order of operations, so that the float is the package's.
    private func normalized(_ places: Tensor, extents: [Int]) -> Tensor {
        let divisors = divisors(extents)
        var result = places
        result.withMutableElements { elements in
            for index in elements.indices {
                elements[index] = 2 * elements[index] / divisors[index % divisors.count] - 1
            }
        }
        return result
    }

    /// By component.
    private func divisors(_ extents: [Int]) -> [Float] {
        components.map { Float(max(extents[$0.dividingAxis] - 1, 1)) }
    }

    /// The components of all positions of a map, row by row: `[S, n]`.
    private static func indices(_ extents: [Int], _ components: [Component]) -> [Float] {
        let count = extents.reduce(1, *)
        var indices: [Float] = []
        indices.reserveCapacity(count * components.count)
        for position in 0..<count {
            for component in components {
                let inner = extents[(component.axis + 1)...].reduce(1, *)
                indices.append(Float(position / inner % extents[component.axis]))
            }
        }
        return indices
    }
}

extension DeformableMultiHeadAttention.Geometry {
    /// What each component of a location stands for.
    func components(rank: Int) -> [SamplingGrid.Component] {
        // In 2-D a location is (x, y), although the map's axes are (row, column).
        let axes = rank == 2 ? [1, 0] : Array(0..<rank)
        return axes.enumerated().map { component, axis in
            switch (self, rank) {
            case (.reference, 2): .init(axis: axis, dividingAxis: component, sampledAxis: axis)
            case (.reference, 3): .init(axis: axis, dividingAxis: axis, sampledAxis: 2 - axis)
            default: .init(axis: axis, dividingAxis: axis, sampledAxis: axis)
            }
        }
    }
}

extension Tensor {
    /// `[a, b, c, n]` as `[a, c, b, n]`; a copy.
    fileprivate var swappingMiddleAxes: Tensor {
        precondition(shape.rank == 4, "\(shape) has no two middle axes")
        let (outer, rows, columns, width) = (shape[0], shape[1], shape[2], shape[3])
        return Tensor([outer, columns, rows, width]) { output in
            withElements { elements in
                for index in 0..<outer * rows * columns {
                    let (image, row, column) = (index / columns / rows, index / columns % rows, index % columns)
                    let target = ((image * columns + column) * rows + row) * width
                    for component in 0..<width { output[target + component] = elements[index * width + component] }
                }
            }
        }
    }
}
