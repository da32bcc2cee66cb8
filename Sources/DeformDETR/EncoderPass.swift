import DeformableAttention
import Layers
import Tensors

/// An encoder layer at work: each thread takes tiles of locations all the way through the layer.
///
/// What is in between stays in a core's own cache, where the same layer on whole tensors writes it to memory and reads it back:
/// queries, their projections, samples and the feed-forward part's hidden channels, five times the features. A tile ends with the
/// next layer's value projection, because threads meet only where a layer samples what others have projected.
struct EncoderPass {
    let layer: EncoderLayer
    /// The next layer's attention; nil after the last layer.
    let next: MultiScaleDeformableAttention?
    /// Of each image.
    let positions: [PositionEncoding.Locations]
    /// `[N, S, L, 2]`
    let references: Tensor

    /// Locations that a thread takes at once.
    private static let tileHeight = 128

    /// Replaces `features`, `[N, S, C]`, by this layer's output.
    ///
    /// - Parameter value: what this layer samples.
    /// - Returns: what the next layer samples; nil after the last.
    func callAsFunction(_ features: inout FeatureSequence, value: SampledValue) -> SampledValue? {
        let (images, count, width) = (features.images, features.layout.count, layer.attention.width)
        let sampling = layer.attention.sampling
        let (layout, levels) = (features.layout, features.layout.levels)
        let whole = Tile(layer, next: next, rows: min(Self.tileHeight, count))
        let rest = count % whole.rows == 0 ? whole : Tile(layer, next: next, rows: count % whole.rows)
        let tiles = (count + whole.rows - 1) / whole.rows

        var nextValue = Factor(
            uninitialized: next == nil ? [0] : [images, sampling.heads, count, sampling.headWidth],
            encoding: whole.next?.encoding ?? .float32)
        let pixelSize = sampling.headWidth * nextValue.encoding.size
        features.withMutableElements { values in
            nextValue.withMutableBytes { nextValue in
                guard let values = values.baseAddress else { return }
                nonisolated(unsafe) let nextValue = nextValue
                sampling.withImages(of: value, layout: layout) { sources in
                    Parallel.forRanges(images * tiles) { numbers in
                        var scratch = Tensor(uninitialized: [whole.scratchCount])
                        scratch.withMutableElements { scratch in
                            guard let scratch = scratch.baseAddress else { return }
                            for number in numbers {
                                let image = number / tiles
                                let start = number % tiles * whole.rows
                                let tile = start + whole.rows <= count ? whole : rest
                                let row = image * count + start
                                positions[image].add(
                                    to: values + row * width, in: start..<start + tile.rows, of: layout, into: scratch)
                                tile(
                                    values + row * width, query: scratch,
                                    references: references.pointer + row * levels * 2, levels: levels,
                                    source: sources[image], scratch: scratch + whole.rows * width)
                                tile.next?(
                                    values + row * width, scratch: scratch,
                                    into: nextValue + (image * count * sampling.heads + start) * pixelSize,
                                    pixels: count)
                            }
                        }
                    }
                }
            }
        }
        return next.map { $0.sampledValue(nextValue, of: features) }
    }

    /// The layer for tiles of one height.
    private struct Tile {
        let rows: Int
        let attention: AttentionTile
        let norm1: LayerNorm
        let feedForward: FeedForwardTile
        let norm2: LayerNorm
        let next: ValueTile?
        /// Floats of the memory that a tile needs in between, its query among them.
        let scratchCount: Int

        init(_ layer: EncoderLayer, next: MultiScaleDeformableAttention?, rows: Int) {
            self.rows = rows
            attention = layer.attention.tile(rows: rows)
            norm1 = layer.norm1
            feedForward = layer.feedForward.tile(rows: rows)
            norm2 = layer.norm2
            self.next = next?.valueTile(rows: rows)
            scratchCount =
                rows * layer.attention.width
                + max(attention.scratchCount, feedForward.scratchCount, self.next?.scratchCount ?? 0)
        }

        /// Takes `values`, `[rows, C]`, through the layer.
        func callAsFunction(
            _ values: UnsafeMutablePointer<Float>, query: UnsafePointer<Float>, references: UnsafePointer<Float>,
            levels: Int, source: DeformableSampling.ImageSource, scratch: UnsafeMutablePointer<Float>
        ) {
            attention(
                query: query, references: references, levels: levels, source: source, scratch: scratch,
                addingTo: values)
            norm1(values, rows: rows)
            feedForward(values, scratch: scratch)
            norm2(values, rows: rows)
        }
    }
}
