import CKernels
import DeformableAttention
import Foundation
import Layers
import Tensors

/// Sine position encoding of feature maps and of boxes.
///
/// - Source: `models/position_encoding.py`, class `PositionEmbeddingSine`, and `get_proposal_pos_embed` in
///   `models/deformable_transformer.py` of fundamentalvision/Deformable-DETR.
enum PositionEncoding {
    private static let temperature: Float = 10000
    private static let scale: Float = 2 * .pi
    private static let epsilon: Float = 1e-6

    /// Writes the interleaved sines and cosines of `position` (in 0...2 pi) at all frequencies.
    private static func encode(_ position: Float, frequencies: [Float], into target: UnsafeMutablePointer<Float>) {
        for (index, frequency) in frequencies.enumerated() {
            target[index] = index % 2 == 0 ? sin(position / frequency) : cos(position / frequency)
        }
    }

    /// `10000^(2 floor(i / 2) / count)`
    private static func frequencies(_ count: Int) -> [Float] {
        (0..<count).map { pow(temperature, Float(2 * ($0 / 2)) / Float(count)) }
    }

    /// The encodings of all locations of an image's levels plus each level's embedding.
    ///
    /// The first half of the channels encodes y, the second x, both relative to the part of the level that holds the image.
    struct Locations: Sendable {
        /// What the locations of a level's row have in common, `[H, C / 2]`, by level.
        let rows: [Tensor]
        /// What those of its columns have in common, `[W, C / 2]`, by level.
        let columns: [Tensor]

        /// - Parameters:
        ///   - validSizes: of one image.
        ///   - levelEmbedding: `[L, C]`.
        init(layout: LevelLayout, validSizes: [ValidSize], levelEmbedding: Tensor) {
            let half = levelEmbedding.shape[1] / 2
            let frequencies = frequencies(half)
            let embedding = levelEmbedding.elements

            func table(extent: Int, valid: Int, embedding: ArraySlice<Float>) -> Tensor {
                Tensor([extent, half]) { table in
                    guard let start = table.baseAddress else { return }
                    for index in 0..<extent {
                        let position = (Float(min(index + 1, valid)) - 0.5) / (Float(valid) + epsilon) * scale
                        let target = start + index * half
                        encode(position, frequencies: frequencies, into: target)
                        for (channel, value) in embedding.enumerated() { target[channel] += value }
                    }
                }
            }

            rows = layout.sizes.enumerated().map { level, size in
                table(
                    extent: size.height, valid: validSizes[level].height,
                    embedding: embedding[2 * level * half..<(2 * level + 1) * half])
            }
            columns = layout.sizes.enumerated().map { level, size in
                table(
                    extent: size.width, valid: validSizes[level].width,
                    embedding: embedding[(2 * level + 1) * half..<(2 * level + 2) * half])
            }
        }

        /// Writes features plus the encodings of their locations, `[range, C]`; the caller answers for the memory.
        func add(
            to features: UnsafePointer<Float>, in range: Range<Int>, of layout: LevelLayout,
            into sum: UnsafeMutablePointer<Float>
        ) {
            var offset = 0
            layout.forEachRow(in: range) { level, row, columns in
                let half = rows[level].shape[1]
                withExtendedLifetime((rows[level], self.columns[level])) {
                    rows_add_position(
                        Int64(columns.count), Int64(half), features + offset, rows[level].pointer + row * half,
                        self.columns[level].pointer + columns.lowerBound * half, sum + offset)
                }
                offset += columns.count * 2 * half
            }
        }
    }

    /// The encodings of a batch as a tensor, `[N, S, C]`.
    static func sequence(layout: LevelLayout, validSizes: [[ValidSize]], levelEmbedding: Tensor) -> Tensor {
        let channels = levelEmbedding.shape[1]
        var sequence = Tensor([validSizes.count, layout.count, channels])
        sequence.withMutableElements { sequence in
            guard let start = sequence.baseAddress else { return }
            for (image, sizes) in validSizes.enumerated() {
                let locations = Locations(layout: layout, validSizes: sizes, levelEmbedding: levelEmbedding)
                Parallel.forRanges(layout.count, minimumPerThread: 64) { range in
                    let target = start + (image * layout.count + range.lowerBound) * channels
                    locations.add(to: target, in: range, of: layout, into: target)
                }
            }
        }
        return sequence
    }

    /// The encoding of boxes: `[rows, 4]` in 0...1 to `[rows, 2 C]`, C / 2 channels for each of cx, cy, w, h.
    static func boxes(_ boxes: Tensor, modelWidth: Int) -> Tensor {
        let half = modelWidth / 2
        let frequencies = frequencies(half)
        return Tensor([boxes.count / 4, 4 * half]) { output in
            guard let start = output.baseAddress else { return }
            boxes.withElements { boxes in
                for (index, coordinate) in boxes.enumerated() {
                    encode(coordinate * scale, frequencies: frequencies, into: start + index * half)
                }
            }
        }
    }
}
