import CKernels
import Layers
import Tensors

/// What an attention does with tiles of queries of one height, each on the thread that calls it.
///
/// Queries, samples and what is in between stay in a core's own cache; what is sampled is shared by all threads.
package struct AttentionTile: Sendable {
    private let projection: LinearTile
    private let output: LinearTile
    private let rows: Int
    private let width: Int
    private let projectionWidth: Int
    /// Floats of the memory that a tile needs in between.
    package let scratchCount: Int

    init(_ attention: MultiScaleDeformableAttention, rows: Int) {
        projection = attention.projection.tile(rows: rows)
        output = attention.outputProjection.tile(rows: rows, addsToDestination: true)
        width = attention.width
        projectionWidth = attention.projection.outputWidth
        self.rows = rows
        scratchCount = rows * (projectionWidth + 2 * width)
    }

    /// Adds to `values` what their queries find; the caller answers for the memory.
    ///
    /// - Parameters:
    ///   - query: `[rows, C]`.
    ///   - references: `[rows, L, 2]`.
    ///   - source: of the image that the queries belong to.
    ///   - scratch: ``scratchCount`` elements.
    ///   - values: `[rows, C]`.
    package func callAsFunction(
        query: UnsafePointer<Float>, references: UnsafePointer<Float>, levels: Int,
        source: DeformableSampling.ImageSource, scratch: UnsafeMutablePointer<Float>,
        addingTo values: UnsafeMutablePointer<Float>
    ) {
        let sampled = scratch + rows * projectionWidth
        let rounded = sampled + rows * width
        projection(projection.factors(query, count: rows * width, room: rounded), into: scratch)
        source.sample(
            DeformableSampling.ImageQueries(
                count: rows, projections: scratch, projectionWidth: projectionWidth, references: references,
                levels: levels, referenceWidth: 2), into: sampled)
        output(output.factors(sampled, count: rows * width, room: rounded), into: values)
    }
}

/// The value projection of an attention for tiles of pixels of one height, each on the thread that calls it.
package struct ValueTile: Sendable {
    private let projection: LinearTile
    private let rows: Int
    private let heads: Int
    private let headWidth: Int
    /// How the value lies in memory.
    package let encoding: Encoding
    /// Floats of the memory that a tile needs in between.
    package let scratchCount: Int

    init(_ attention: MultiScaleDeformableAttention, rows: Int) {
        encoding = attention.valueEncoding
        projection = attention.valueProjection.tile(rows: rows, result: encoding)
        self.rows = rows
        heads = attention.sampling.heads
        headWidth = attention.sampling.headWidth
        scratchCount = 2 * rows * attention.width
    }

    /// Writes the heads of some pixels; the caller answers for the memory.
    ///
    /// - Parameters:
    ///   - features: `[rows, C]`.
    ///   - scratch: ``scratchCount`` elements.
    ///   - value: where the first of the pixels lies in an image's `[M, S, D]`, in ``encoding``.
    ///   - pixels: S
    package func callAsFunction(
        _ features: UnsafePointer<Float>, scratch: UnsafeMutablePointer<Float>, into value: UnsafeMutableRawPointer,
        pixels: Int
    ) {
        let count = rows * heads * headWidth
        projection(projection.factors(features, count: count, room: scratch + count), into: scratch)
        let headSize = headWidth * encoding.size
        deformable_sampling_reorder(
            Int64(heads), Int64(headSize), 0, Int64(rows), scratch, Int64(headSize), Int64(heads * headSize), value,
            Int64(pixels * headSize), Int64(headSize))
    }
}

extension MultiScaleDeformableAttention {
    /// The attention for tiles of `rows` queries with reference points.
    package func tile(rows: Int) -> AttentionTile { AttentionTile(self, rows: rows) }

    /// The value projection for tiles of `rows` pixels.
    package func valueTile(rows: Int) -> ValueTile { ValueTile(self, rows: rows) }

    /// What is sampled, of heads that were projected tile by tile.
    ///
    /// - Parameters:
    ///   - elements: `[N, M, S, D]`; padding becomes zero.
    ///   - source: what they were projected from.
    package func sampledValue(_ elements: consuming Factor, of source: FeatureSequence) -> SampledValue {
        let (heads, pixels) = (elements.shape[1], elements.shape[2])
        let pixelSize = elements.shape[3] * elements.encoding.size
        for image in 0..<source.images where source.hasPadding(image: image) {
            elements.withMutableBytes { elements in
                for range in source.paddedRanges(image: image) {
                    for head in 0..<heads {
                        (elements + ((image * heads + head) * pixels + range.lowerBound) * pixelSize)
                            .initializeMemory(as: UInt8.self, repeating: 0, count: range.count * pixelSize)
                    }
                }
            }
        }
        return SampledValue(headsApart: elements)
    }
}
