import Foundation

/// The definition of ``BiasedAttention`` as plain loops in Double: the oracle of the tiled one and of its backward.
///
/// Arrays are laid out as ``BiasedAttention/Operands`` says; parameters as the checkpoint has them.
package struct PlainBiasedAttention {
    package var heads: Int
    package var headWidth: Int
    package var groups: Int
    package var rank: Int
    package var hiddenWidth: Int
    package var usesLogDistance: Bool
    /// `[H, n]`, `[H]`, `[H, H]`, `[H]`, `[O, H]`, `[O]`: the bias's weights and biases, layer by layer.
    package var parameters: [[Double]]

    package init(
        heads: Int, headWidth: Int, groups: Int, rank: Int, hiddenWidth: Int, usesLogDistance: Bool,
        parameters: [[Double]]
    ) {
        self.heads = heads
        self.headWidth = headWidth
        self.groups = groups
        self.rank = rank
        self.hiddenWidth = hiddenWidth
        self.usesLogDistance = usesLogDistance
        self.parameters = parameters
    }

    /// - Returns: `[N, I, M * D]`.
    package func callAsFunction(
        images: Int, queries: [Double], keys: [Double], values: [Double], queryPositions: [Double],
        keyPositions: [Double]
    ) -> [Double] {
        let width = heads * headWidth
        let groupHeads = heads / groups
        let queryCount = queryPositions.count / rank
        let keyCount = images == 0 ? 0 : keys.count / width / images
        var output = [Double](repeating: 0, count: queries.count)
        for image in 0..<images {
            for query in 0..<queryCount {
                for group in 0..<groups {
                    let biases = (0..<keyCount).map { key in
                        let keyPosition = ((image * groups + group) * keyCount + key) * rank
                        return bias(
                            (0..<rank).map { queryPositions[query * rank + $0] - keyPositions[keyPosition + $0] })
                    }
                    for headOfGroup in 0..<groupHeads {
                        let channels = (group * groupHeads + headOfGroup) * headWidth
                        let queryStart = (image * queryCount + query) * width + channels
                        let keyStart = image * keyCount * width + channels
                        let scores = (0..<keyCount).map { key in
                            let product = (0..<headWidth).reduce(0) {
                                $0 + queries[queryStart + $1] * keys[keyStart + key * width + $1]
                            }
                            return product / Double(headWidth).squareRoot() + biases[key][headOfGroup]
                        }
                        let largest = scores.max() ?? 0
                        let powers = scores.map { exp($0 - largest) }
                        let total = powers.reduce(0, +)
                        for channel in 0..<headWidth {
                            output[queryStart + channel] = (0..<keyCount).reduce(0) {
                                $0 + powers[$1] / total * values[keyStart + $1 * width + channel]
                            }
                        }
                    }
                }
            }
        }
        return output
    }

    /// One number for each head of a group.
    private func bias(_ distance: [Double]) -> [Double] {
        let seen = usesLogDistance ? distance.map { ($0 < 0 ? -1 : 1) * log(abs($0) + 1) } : distance
        let first = layer(seen, parameters[0], parameters[1]).map { max(0, $0) }
        let middle = layer(first, parameters[2], parameters[3]).map { max(0, $0) }
        return layer(middle, parameters[4], parameters[5])
    }

    private func layer(_ input: [Double], _ weight: [Double], _ bias: [Double]) -> [Double] {
        bias.indices.map { row in
            input.indices.reduce(bias[row]) { $0 + weight[row * input.count + $1] * input[$1] }
        }
    }
}
