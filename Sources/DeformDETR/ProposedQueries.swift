import Checkpoint
import DeformableAttention
import Layers
import Tensors

/// Object queries from the image: the encoder's own best guesses become the decoder's references (two-stage).
///
/// Every location of the memory proposes a box of its level's size; those with the highest logit of class 0 are refined by
/// the encoder's box head.
///
/// - Source: `gen_encoder_output_proposals` and `DeformableTransformer.forward` in `models/deformable_transformer.py` of
///   fundamentalvision/Deformable-DETR.
struct ProposedQueries: Sendable {
    private let output: Linear
    private let outputNorm: LayerNorm
    private let position: Linear
    private let positionNorm: LayerNorm
    /// The class head's first row: only the logit of class 0 counts.
    private let score: Linear
    private let boxHead: MultiLayerPerceptron
    private let count: Int
    private let width: Int

    /// Reads `enc_output`, `enc_output_norm`, `pos_trans` and `pos_trans_norm` under `cursor`.
    ///
    /// - Parameters:
    ///   - classHead: the encoder's, the one after the decoder layers'.
    ///   - boxHead: likewise.
    init(
        _ cursor: WeightCursor, configuration: Configuration, classHead: WeightCursor, boxHead: WeightCursor
    ) throws {
        width = configuration.modelWidth
        count = configuration.queries
        output = try Linear(cursor["enc_output"], inputWidth: width, outputWidth: width)
        outputNorm = try LayerNorm(cursor["enc_output_norm"], width: width)
        position = try Linear(cursor["pos_trans"], inputWidth: 2 * width, outputWidth: 2 * width)
        positionNorm = try LayerNorm(cursor["pos_trans_norm"], width: 2 * width)
        score = Linear(
            weight: try classHead.tensor("weight", [configuration.classes, width]).rows(0..<1),
            bias: try classHead.tensor("bias", [configuration.classes]).rows(0..<1))
        self.boxHead = try MultiLayerPerceptron(boxHead, widths: [width, width, width, 4])
    }

    /// - Throws: ``DetectorError/imageTooSmall(locations:queries:)`` when the memory has fewer locations than queries.
    func callAsFunction(_ memory: FeatureSequence, paddingRule: ImageBatch.PaddingRule) throws -> ObjectQueries {
        let proposals = Proposals(of: memory)
        var masked = memory.values
        masked.withMutableElements { elements in
            for (location, isValid) in proposals.isValid.enumerated() where !isValid {
                elements[location * width..<(location + 1) * width].update(repeating: 0)
            }
        }
        let encoded = outputNorm(output(masked))
        let scores = score(encoded)
        let chosen = try (0..<memory.images).map { image in
            try best(of: scores, memory: memory, image: image, excludingPadding: paddingRule == .excluded)
        }
        let rows = chosen.enumerated().flatMap { image, locations in locations.map { image * memory.layout.count + $0 }
        }

        var boxes = boxHead(encoded.gatheringRows(rows))
        boxes.withMutableElements { boxes in
            for (index, row) in rows.enumerated() {
                for coordinate in 0..<4 {
                    boxes[index * 4 + coordinate] = ReferencePoints.sigmoid(
                        boxes[index * 4 + coordinate] + proposals.logits[row * 4 + coordinate])
                }
            }
        }
        let embedded = positionNorm(position(PositionEncoding.boxes(boxes, modelWidth: width)))
        let shape: Shape = [memory.images, count, width]
        return ObjectQueries(
            target: embedded.columns(width..<2 * width).reshaped(shape),
            position: embedded.columns(0..<width).reshaped(shape),
            references: boxes.reshaped([memory.images, count, 4]))
    }

    /// The locations with the highest logits of class 0, best first; of equals, the first.
    private func best(
        of scores: Tensor, memory: FeatureSequence, image: Int, excludingPadding: Bool
    ) throws -> [Int] {
        let layout = memory.layout
        var candidates: [Int] = []
        for (level, size) in layout.sizes.enumerated() {
            let valid = excludingPadding ? memory.validSizes[image][level] : size
            for row in 0..<valid.height {
                let start = layout.starts[level] + row * size.width
                candidates.append(contentsOf: start..<start + valid.width)
            }
        }
        guard candidates.count >= count else {
            throw DetectorError.imageTooSmall(locations: candidates.count, queries: count)
        }
        return scores.withElements { elements in
            let scores = candidates.map { elements[image * layout.count + $0] }
            let order = candidates.indices.sorted { left, right in
                scores[left] == scores[right] ? left < right : scores[left] > scores[right]
            }
            return order.prefix(count).map { candidates[$0] }
        }
    }
}

/// A box for every location of the memory: centred there, 0.05 of the image wide on the first level, twice that on each next.
private struct Proposals {
    /// `[N * S, 4]`: the logits of cxcywh; infinity where the proposal is not valid.
    var logits: [Float] = []
    /// `[N * S]`: inside the image, and the box keeps 0.01 away from 0 and 1.
    var isValid: [Bool] = []

    init(of memory: FeatureSequence) {
        let rows = memory.images * memory.layout.count
        logits.reserveCapacity(rows * 4)
        isValid.reserveCapacity(rows)
        for image in 0..<memory.images {
            for (level, size) in memory.layout.sizes.enumerated() {
                let valid = memory.validSizes[image][level]
                let extent = 0.05 * Float(1 << level)
                for row in 0..<size.height {
                    for column in 0..<size.width {
                        let x = (Float(column) + 0.5) / Float(valid.width)
                        let y = (Float(row) + 0.5) / Float(valid.height)
                        let box = [x, y, extent, extent]
                        let isInside =
                            row < valid.height && column < valid.width && box.allSatisfy { $0 > 0.01 && $0 < 0.99 }
                        isValid.append(isInside)
                        for coordinate in box {
                            logits.append(isInside ? ReferencePoints.logit(coordinate) : .infinity)
                        }
                    }
                }
            }
        }
    }
}
