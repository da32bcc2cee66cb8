import Checkpoint
import DeformableAttention
import TestSupport
import Tensors
import Testing

/// What the two geometries of the grid attention have in common, and where they differ.
@Suite struct GridGeometryTests {
    private typealias Configuration = DeformableMultiHeadAttention.Configuration

    private func outputs(extents: [Int], _ change: @escaping (inout Configuration) -> Void = { _ in }) throws -> (
        reference: Tensor, corrected: Tensor
    ) {
        let outputs = try [DeformableMultiHeadAttention.Geometry.reference, .corrected].map { geometry in
            let configuration = GridAttentionSetting.configuration(rank: extents.count, groups: 2) {
                change(&$0)
                $0.geometry = geometry
            }
            let setting = try GridAttentionSetting(configuration, extents: extents, seed: 71)
            return try setting.attention()(setting.input)
        }
        return (outputs[0], outputs[1])
    }

    @Test(arguments: [[21], [12, 12], [8, 8]]) func theGeometriesAgreeOnLinesAndSquares(extents: [Int]) throws {
        let (reference, corrected) = try outputs(extents: extents)
        #expect(reference.elements == corrected.elements)
    }

    @Test(arguments: [[8, 16], [16, 8], [4, 8, 12], [8, 8, 8]])
    func theGeometriesDifferOnOtherMaps(extents: [Int]) throws {
        // On a cube the reference still samples (frame, row, column) as (column, row, frame).
        let (reference, corrected) = try outputs(extents: extents)
        #expect(relativeError(corrected, reference) > 0.01)
    }

    /// Four unmoved samples of a row of 16 lie at -1, -1/3, 1/3 and 1 of its width: the third is between columns 10 and 11. The
    /// reference divides their column by the height's extent instead: they lie at -1, 1, 3 and 5, two of them outside.
    @Test func theReferenceNeverSeesTheMiddleOfAWideMap() throws {
        for geometry in [DeformableMultiHeadAttention.Geometry.reference, .corrected] {
            let configuration = GridAttentionSetting.configuration(rank: 2, groups: 2) { $0.geometry = geometry }
            var setting = try GridAttentionSetting(configuration, extents: [4, 16], images: 1, seed: 72)
            setting.parameters["to_offsets.2.weight"] = Tensor([2, 10, 1, 1])
            let attention = try setting.attention()
            let changed = Tensor(setting.input.shape) { elements in
                _ = elements.update(fromContentsOf: setting.input.elements)
                for channel in 0..<32 { elements[10 * 32 + channel] += 1 }
            }
            // Another position's output depends on column 10 by the samples alone.
            let (before, after) = (try attention(setting.input).elements, try attention(changed).elements)
            let isAffected = before[..<32] != after[..<32]
            #expect(isAffected == (geometry == .corrected))
        }
    }

    /// Rows and columns change places: of the input, of the kernel, and of all that counts axes. The output follows.
    ///
    /// In 2-D the reference's mistake is the same for both axes, so it follows too; in 3-D it is not.
    @Test(arguments: [2, 3], [DeformableMultiHeadAttention.Geometry.reference, .corrected])
    func transposingFollows(rank: Int, geometry: DeformableMultiHeadAttention.Geometry) throws {
        let extents = rank == 2 ? [8, 15] : [3, 8, 15]
        let configuration = GridAttentionSetting.configuration(rank: rank, groups: 2) {
            $0.geometry = geometry
            $0.downsampling = Array([1, 2, 3].suffix(rank))
            $0.offsetKernel = Array([3, 2, 5].suffix(rank))
            $0.offsetScale = Array([0.5, 0.6, 1].suffix(rank))
        }
        let setting = try GridAttentionSetting(configuration, extents: extents, seed: 73)

        var swapped = configuration
        swapped.downsampling.swapAt(rank - 2, rank - 1)
        swapped.offsetKernel.swapAt(rank - 2, rank - 1)
        swapped.offsetScale.swapAt(rank - 2, rank - 1)
        var parameters = setting.parameters
        let lastTwo = Array(0..<rank) + [rank + 1, rank]
        parameters["to_offsets.0.weight"] = try setting.parameters.tensor("to_offsets.0.weight").permuted(lastTwo)
        // The components of a location: (x, y), or the last two of (frame, row, column).
        let components = rank == 2 ? [1, 0] : [0, 2, 1]
        parameters["to_offsets.2.weight"] = try setting.parameters.tensor("to_offsets.2.weight").selecting(components)
        let distances = try setting.parameters.tensor("rel_pos_bias.mlp.0.0.weight")
        parameters["rel_pos_bias.mlp.0.0.weight"] = distances.permuted([1, 0]).selecting(components).permuted([1, 0])
        if rank == 3 { parameters["to_offsets.4.scale"] = Tensor([3], swapped.offsetScale) }

        let axes = Array(0..<rank - 1) + [rank, rank - 1, rank + 1]
        let output = try setting.attention()(setting.input)
        let attention = try DeformableMultiHeadAttention(WeightCursor(parameters), configuration: swapped)
        let followed = try attention(setting.input.permuted(axes)).permuted(axes)
        // Sums in another order.
        if rank == 2 || geometry == .corrected {
            #expect(relativeError(followed, output) < 1e-5)
        } else {
            #expect(relativeError(followed, output) > 0.01)
        }
    }

    /// The grid counts in steps of the sampled grid, components in the package's order.
    @Test func anUnmovedGridHasWholeCoordinates() throws {
        func grid(_ extents: [Int]) throws -> Tensor {
            let rank = extents.count
            let configuration = GridAttentionSetting.configuration(rank: rank, groups: 2)
            var setting = try GridAttentionSetting(configuration, extents: extents, images: 1, seed: 74)
            setting.parameters["to_offsets.2.weight"] = Tensor(Shape([rank, 10] + Array(repeating: 1, count: rank)))
            return try setting.attention().withSamplingGrid(setting.input).grid
        }
        let line = try grid([14])
        #expect(line.shape == [1, 2, 3, 1] && line.elements == [0, 1, 2, 0, 1, 2])
        let map = try grid([8, 12])
        #expect(map.shape == [1, 2, 2, 3, 2])
        #expect(Array(map.elements[..<12]) == [0, 0, 1, 0, 2, 0, 0, 1, 1, 1, 2, 1])
        let volume = try grid([4, 8, 8])
        #expect(volume.shape == [1, 2, 1, 2, 2, 3])
        #expect(Array(volume.elements[..<12]) == [0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 1, 1])
    }
}

extension Tensor {
    /// Axis i of the result is axis `axes[i]` of this tensor.
    fileprivate func permuted(_ axes: [Int]) -> Tensor {
        let strides = shape.dimensions.indices.map { shape.dimensions[($0 + 1)...].reduce(1, *) }
        let result = Shape(axes.map { shape[$0] })
        let elements = elements
        return Tensor(
            result,
            (0..<count).map { index in
                var (rest, source) = (index, 0)
                for axis in axes.reversed() {
                    source += rest % shape[axis] * strides[axis]
                    rest /= shape[axis]
                }
                return elements[source]
            })
    }

    /// The given slices along the first axis.
    fileprivate func selecting(_ slices: [Int]) -> Tensor {
        Tensor(shape, slices.flatMap { rows($0..<$0 + 1).elements })
    }
}
