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

    /// The encodings of all locations of an image's levels plus each level's embedding: `[N, S, C]`.
    ///
    /// The first half of the channels encodes y, the second x, both relative to the part of the level that holds the image.
    ///
    /// - Parameter levelEmbedding: `[L, C]`.
    static func sequence(layout: LevelLayout, validSizes: [[ValidSize]], levelEmbedding: Tensor) -> Tensor {
        let channels = levelEmbedding.shape[1]
        let half = channels / 2
        let frequencies = frequencies(half)

        /// `[extent, C / 2]`
        func table(extent: Int, valid: Int) -> [Float] {
            var table = [Float](repeating: 0, count: extent * half)
            table.withUnsafeMutableBufferPointer { table in
                guard let start = table.baseAddress else { return }
                for index in 0..<extent {
                    let position = (Float(min(index + 1, valid)) - 0.5) / (Float(valid) + epsilon) * scale
                    encode(position, frequencies: frequencies, into: start + index * half)
                }
            }
            return table
        }

        let embedding = levelEmbedding.elements
        return Tensor([validSizes.count, layout.count, channels]) { output in
            nonisolated(unsafe) let output = output
            for (image, sizes) in validSizes.enumerated() {
                for (level, size) in layout.sizes.enumerated() {
                    let rows = table(extent: size.height, valid: sizes[level].height)
                    let columns = table(extent: size.width, valid: sizes[level].width)
                    let start = (image * layout.count + layout.starts[level]) * channels
                    Parallel.forRanges(size.height, minimumPerThread: 8) { range in
                        for row in range {
                            for column in 0..<size.width {
                                let target = start + (row * size.width + column) * channels
                                for index in 0..<half {
                                    output[target + index] =
                                        rows[row * half + index] + embedding[level * channels + index]
                                    output[target + half + index] =
                                        columns[column * half + index] + embedding[level * channels + half + index]
                                }
                            }
                        }
                    }
                }
            }
        }
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
