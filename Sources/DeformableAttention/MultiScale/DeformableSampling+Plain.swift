import Foundation
import Tensors

extension DeformableSampling {
    /// The definition of ``callAsFunction(value:layout:projections:references:)`` as plain loops in Double: the oracle that
    /// the fast kernel is tested against.
    package func plain(
        value: Tensor, layout: LevelLayout, projections: Tensor, references: Tensor
    ) -> Tensor {
        checkShapes(value: value, layout: layout, projections: projections, references: references)
        let (images, queries, levels) = (projections.shape[0], projections.shape[1], layout.levels)
        let channels = heads * headWidth
        let samples = levels * points
        let referenceWidth = references.shape[3]
        let values = value.elements
        let projected = projections.elements
        let centers = references.elements
        var output = [Float](repeating: 0, count: images * queries * channels)

        /// `value` of one channel at pixel (x, y) of a level; zero outside.
        func pixel(_ image: Int, _ level: Int, _ x: Int, _ y: Int, _ channel: Int) -> Double {
            let size = layout.sizes[level]
            guard x >= 0, y >= 0, x < size.width, y < size.height else { return 0 }
            let location = image * layout.count + layout.starts[level] + y * size.width + x
            return Double(values[location * channels + channel])
        }

        for image in 0..<images {
            for query in 0..<queries {
                let row = (image * queries + query) * 3 * heads * samples
                for head in 0..<heads {
                    let logits = (0..<samples).map {
                        Double(projected[row + 2 * heads * samples + head * samples + $0])
                    }
                    let largest = logits.max() ?? 0
                    let powers = logits.map { exp($0 - largest) }
                    let total = powers.reduce(0, +)
                    for level in 0..<levels {
                        let size = layout.sizes[level]
                        let (width, height) = (Double(size.width), Double(size.height))
                        let reference = ((image * queries + query) * levels + level) * referenceWidth
                        for point in 0..<points {
                            let sample = level * points + point
                            let offset = row + (head * samples + sample) * 2
                            var x = Double(projected[offset])
                            var y = Double(projected[offset + 1])
                            if referenceWidth == 4 {
                                x *= Double(centers[reference + 2]) * width * 0.5 / Double(points)
                                y *= Double(centers[reference + 3]) * height * 0.5 / Double(points)
                            }
                            x += Double(centers[reference]) * width - 0.5
                            y += Double(centers[reference + 1]) * height - 0.5
                            guard x > -1, y > -1, x < width, y < height else { continue }
                            let (left, top) = (Int(x.rounded(.down)), Int(y.rounded(.down)))
                            let (right, bottom) = (x - Double(left), y - Double(top))
                            let weight = powers[sample] / total
                            for channel in 0..<headWidth {
                                let column = head * headWidth + channel
                                let interpolated =
                                    (1 - right) * (1 - bottom) * pixel(image, level, left, top, column)
                                    + right * (1 - bottom) * pixel(image, level, left + 1, top, column)
                                    + (1 - right) * bottom * pixel(image, level, left, top + 1, column)
                                    + right * bottom * pixel(image, level, left + 1, top + 1, column)
                                output[(image * queries + query) * channels + column] += Float(weight * interpolated)
                            }
                        }
                    }
                }
            }
        }
        return Tensor([images, queries, channels], output)
    }
}
