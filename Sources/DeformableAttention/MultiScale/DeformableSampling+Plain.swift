import Foundation
import Tensors

extension DeformableSampling {
    /// What is sampled and where, in Double: for the definition, and for finite differences of it.
    package struct PlainOperands: Sendable {
        package let layout: LevelLayout
        /// N
        package let images: Int
        /// Q
        package let queries: Int
        /// 2 or 4
        package let referenceWidth: Int
        /// `[N, S, M, D]`
        package var value: [Double]
        /// `[N, Q, 3 * M * L * K]`
        package var projections: [Double]
        /// `[N, Q, L, 2]` or `[N, Q, L, 4]`
        package var references: [Double]

        package init(value: Tensor, layout: LevelLayout, projections: Tensor, references: Tensor) {
            self.layout = layout
            images = projections.shape[0]
            queries = projections.shape[1]
            referenceWidth = references.shape[3]
            self.value = value.elements.map(Double.init)
            self.projections = projections.elements.map(Double.init)
            self.references = references.elements.map(Double.init)
        }
    }

    /// The definition of ``callAsFunction(value:layout:projections:references:)`` as plain loops in Double: the oracle that
    /// the fast kernel is tested against, and its derivatives with the fast kernel's backward.
    ///
    /// - Returns: `[N, Q, M, D]`.
    package func plain(_ operands: PlainOperands) -> [Double] {
        let (layout, levels) = (operands.layout, operands.layout.levels)
        let channels = heads * headWidth
        let samples = levels * points
        var output = [Double](repeating: 0, count: operands.images * operands.queries * channels)

        /// The value of one channel at pixel (x, y) of a level; zero outside.
        func pixel(_ image: Int, _ level: Int, _ x: Int, _ y: Int, _ channel: Int) -> Double {
            let size = layout.sizes[level]
            guard x >= 0, y >= 0, x < size.width, y < size.height else { return 0 }
            let location = image * layout.count + layout.starts[level] + y * size.width + x
            return operands.value[location * channels + channel]
        }

        // A query of the whole batch.
        for query in 0..<operands.images * operands.queries {
            let image = query / operands.queries
            let row = query * 3 * heads * samples
            for head in 0..<heads {
                let logits = row + (2 * heads + head) * samples
                let weights = softmax(operands.projections[logits..<logits + samples])
                for (sample, weight) in weights.enumerated() {
                    let level = sample / points
                    let offset = row + (head * samples + sample) * 2
                    let reference = (query * levels + level) * operands.referenceWidth
                    let (x, y) = location(
                        offset: Array(operands.projections[offset..<offset + 2]),
                        reference: Array(operands.references[reference..<reference + operands.referenceWidth]),
                        width: Double(layout.sizes[level].width), height: Double(layout.sizes[level].height))
                    let (left, top) = (x.rounded(.down), y.rounded(.down))
                    // Farther than a pixel outside, or not finite, there is nothing to sample.
                    guard let column = Int(exactly: left), let line = Int(exactly: top) else { continue }
                    let (right, bottom) = (x - left, y - top)
                    for channel in head * headWidth..<(head + 1) * headWidth {
                        let interpolated =
                            (1 - right) * (1 - bottom) * pixel(image, level, column, line, channel)
                            + right * (1 - bottom) * pixel(image, level, column + 1, line, channel)
                            + (1 - right) * bottom * pixel(image, level, column, line + 1, channel)
                            + right * bottom * pixel(image, level, column + 1, line + 1, channel)
                        output[query * channels + channel] += weight * interpolated
                    }
                }
            }
        }
        return output
    }

    /// ``plain(_:)`` of tensors, rounded once: `[N, Q, M * D]`.
    package func plain(value: Tensor, layout: LevelLayout, projections: Tensor, references: Tensor) -> Tensor {
        checkShapes(value: value, layout: layout, projections: projections, references: references)
        let operands = PlainOperands(value: value, layout: layout, projections: projections, references: references)
        return Tensor([operands.images, operands.queries, heads * headWidth], plain(operands).map(Float.init))
    }

    /// In pixels, from a point or a box in 0...1 of a level with this extent.
    private func location(
        offset: [Double], reference: [Double], width: Double, height: Double
    ) -> (x: Double, y: Double) {
        if reference.count == 2 {
            return (reference[0] * width + offset[0] - 0.5, reference[1] * height + offset[1] - 0.5)
        }
        return (
            reference[0] * width + offset[0] / Double(points) * reference[2] * width * 0.5 - 0.5,
            reference[1] * height + offset[1] / Double(points) * reference[3] * height * 0.5 - 0.5
        )
    }

    private func softmax(_ logits: ArraySlice<Double>) -> [Double] {
        let largest = logits.max() ?? 0
        let powers = logits.map { exp($0 - largest) }
        let total = powers.reduce(0, +)
        return powers.map { $0 / total }
    }
}
