import DeformableAttention
import Layers
import Tensors

extension InputProjection {
    /// The sequence, and how its gradient, `[N, S, C]`, flows back to the backbone's maps, `[N, H, W, C]` each.
    ///
    /// - Parameters: as in ``callAsFunction(_:of:)``.
    func withPullback(
        _ features: [FeatureMap], of batch: ImageBatch
    ) -> (
        sequence: FeatureSequence, pullback: (_ sequenceGradient: Tensor, _ gradients: inout Gradients) -> [Tensor]
    ) {
        var pullbacks: [(norm: Pullback, convolution: Pullback)] = []
        let sizes = features.map { ValidSize(height: $0.height, width: $0.width) }
        let sequence = project(sizes, of: batch) { projection, source, values, start in
            let input =
                switch source {
                case .tap(let tap): features[tap]
                case .level(let level): level
                }
            let (map, convolutionPullback) = projection.convolution.withPullback(input)
            pullbacks.append((projection.norm.withPullback(map, into: &values, at: start), convolutionPullback))
            return map.validSizes
        }
        return (
            sequence,
            { [layout = sequence.layout] sequenceGradient, gradients in
                var sequenceGradient = sequenceGradient
                var features = [Tensor?](repeating: nil, count: taps)
                // From the last level on: a level may have been made of the one before it.
                while let pullback = pullbacks.popLast() {
                    let level = pullbacks.count
                    let gradient = pullback.convolution(pullback.norm(sequenceGradient, &gradients), &gradients)
                    if let tap = tap(of: level) {
                        features[tap] = features[tap]?.adding(gradient) ?? gradient
                    } else {
                        sequenceGradient.add(gradient, toLevel: level - 1, of: layout)
                    }
                }
                return features.compactMap { $0 }
            }
        )
    }
}

extension Tensor {
    /// Adds a map `[N, H, W, C]` to one level of this sequence `[N, S, C]`.
    fileprivate mutating func add(_ map: Tensor, toLevel level: Int, of layout: LevelLayout) {
        let (images, channels, start) = (shape[0], shape[2], layout.starts[level])
        let count = map.count / images
        withMutableElements { sequence in
            map.withElements { map in
                for image in 0..<images {
                    let target = (image * layout.count + start) * channels
                    for index in 0..<count { sequence[target + index] += map[image * count + index] }
                }
            }
        }
    }
}
