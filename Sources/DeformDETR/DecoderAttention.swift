import Boxes
import DeformableAttention
import Tensors

/// Where the object queries of the last decoder layer looked in the images of a batch.
public struct DecoderAttention: Sendable {
    /// The layer's references: `[N, Q, 2]` points or `[N, Q, 4]` boxes cxcywh, in 0...1 of each image.
    public let references: Tensor
    /// The sampling locations, `[N, Q, M, L, K, (x, y)]`, in 0...1 of each image whatever its padding; they may lie outside.
    public let locations: Tensor
    /// The attention weights, `[N, Q, M, L, K]`; those of a head sum to 1 over all its levels and points.
    public let weights: Tensor

    /// - Parameters:
    ///   - sampling: in 0...1 of the padded levels.
    ///   - references: in 0...1 of the images.
    ///   - memory: the levels, with their padding.
    init(_ sampling: SamplingLocations, references: Tensor, memory: FeatureSequence) {
        self.references = references
        weights = sampling.weights
        let shape = sampling.locations.shape
        let (images, rows, levels, points) = (shape[0], shape[1] * shape[2], shape[3], shape[4])
        var locations = sampling.locations
        locations.withMutableElements { locations in
            for image in 0..<images {
                for (level, ratio) in memory.validRatios(image: image).enumerated() where ratio != (1, 1) {
                    for row in 0..<rows {
                        let start = (((image * rows + row) * levels) + level) * points
                        for point in start..<start + points {
                            locations[2 * point] /= ratio.width
                            locations[2 * point + 1] /= ratio.height
                        }
                    }
                }
            }
        }
        self.locations = locations
    }

    /// What one query looked at.
    ///
    /// - Parameters:
    ///   - query: of the object queries, from 0.
    ///   - image: of the batch, from 0.
    ///   - width: of the upright original, in pixels; `height` likewise.
    public func detection(byQuery query: Int, image: Int, width: Int, height: Int) -> DetectionAttention {
        let shape = weights.shape
        precondition(
            0..<shape[0] ~= image && 0..<shape[1] ~= query, "query \(query) of image \(image) in weights \(shape)")
        let (levels, points) = (shape[3], shape[4])
        let (row, count) = (image * shape[1] + query, shape[2] * levels * points)
        func position(_ elements: UnsafeBufferPointer<Float>, _ start: Int) -> DetectionAttention.Position {
            DetectionAttention.Position(x: elements[start] * Float(width), y: elements[start + 1] * Float(height))
        }
        return locations.withElements { locations in
            weights.withElements { weights in
                DetectionAttention(
                    reference: references.withElements { position($0, row * references.shape[2]) },
                    points: (0..<count).map { sample in
                        DetectionAttention.SamplingPoint(
                            position: position(locations, 2 * (row * count + sample)), level: sample / points % levels,
                            head: sample / points / levels, weight: weights[row * count + sample])
                    })
            }
        }
    }
}
