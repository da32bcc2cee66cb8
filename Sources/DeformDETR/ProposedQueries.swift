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
    let output: Linear
    let outputNorm: LayerNorm
    let position: Linear
    let positionNorm: LayerNorm
    /// The encoder's own. Of its logits only those of class 0 decide which proposals are taken.
    let head: PredictionHead
    private let count: Int
    private let width: Int

    /// Reads `enc_output`, `enc_output_norm`, `pos_trans` and `pos_trans_norm` under `cursor`.
    ///
    /// - Parameter head: the encoder's, the one after the decoder layers'.
    init(_ cursor: WeightCursor, configuration: Configuration, head: PredictionHead) throws {
        width = configuration.modelWidth
        count = configuration.queries
        output = try Linear(cursor["enc_output"], inputWidth: width, outputWidth: width)
        outputNorm = try LayerNorm(cursor["enc_output_norm"], width: width)
        position = try Linear(cursor["pos_trans"], inputWidth: 2 * width, outputWidth: 2 * width)
        positionNorm = try LayerNorm(cursor["pos_trans_norm"], width: 2 * width)
        self.head = head
    }

    /// - Throws: ``DetectorError/imageTooSmall(locations:queries:)`` when the memory has fewer locations than queries.
    func callAsFunction(_ memory: FeatureSequence, paddingRule: ImageBatch.PaddingRule) throws -> ObjectQueries {
        let proposals = Proposals(of: memory)
        let encoded = outputNorm(output(proposals.masking(memory.values)))
        let rows = try bestRows(logits: head.classes(encoded), memory: memory, paddingRule: paddingRule)
        let boxes = ReferencePoints.moved(
            proposals.logits.gatheringRows(rows), by: head.boxes(encoded.gatheringRows(rows)))
        return queries(
            embedding: positionNorm(position(PositionEncoding.boxes(boxes, modelWidth: width))), boxes: boxes,
            images: memory.images)
    }

    /// - Parameters:
    ///   - embedding: `[N * Q, 2 C]`, positions and targets side by side.
    ///   - boxes: `[N * Q, 4]`.
    func queries(embedding: Tensor, boxes: Tensor, images: Int) -> ObjectQueries {
        let shape: Shape = [images, count, width]
        return ObjectQueries(
            target: embedding.columns(width..<2 * width).reshaped(shape),
            position: embedding.columns(0..<width).reshaped(shape),
            references: boxes.reshaped([images, count, 4]))
    }

    /// The best proposals of each image, as rows of `[N * S]`.
    ///
    /// - Parameter logits: `[N, S, classes]`.
    /// - Throws: ``DetectorError/imageTooSmall(locations:queries:)``.
    func bestRows(
        logits: Tensor, memory: FeatureSequence, paddingRule: ImageBatch.PaddingRule
    ) throws -> [Int] {
        try (0..<memory.images).flatMap { image in
            try best(of: logits, memory: memory, image: image, excludingPadding: paddingRule == .excluded)
                .map { image * memory.layout.count + $0 }
        }
    }

    /// The locations with the highest logits of class 0, best first; of equals, the first.
    private func best(
        of logits: Tensor, memory: FeatureSequence, image: Int, excludingPadding: Bool
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
        let classes = logits.shape.last
        return logits.withElements { logits in
            let scores = candidates.map { logits[(image * layout.count + $0) * classes] }
            let order = candidates.indices.sorted { left, right in
                scores[left] == scores[right] ? left < right : scores[left] > scores[right]
            }
            return order.prefix(count).map { candidates[$0] }
        }
    }
}

/// A box for every location of the memory: centred there, 0.05 of the image wide on the first level, twice that on each next.
struct Proposals {
    /// `[N, S, 4]`: the logits of cxcywh; infinity where the proposal is not valid.
    let logits: Tensor
    /// `[N * S]`: inside the image, and the box keeps 0.01 away from 0 and 1.
    let isValid: [Bool]

    init(of memory: FeatureSequence) {
        let rows = memory.images * memory.layout.count
        var logits: [Float] = []
        var isValid: [Bool] = []
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
        self.logits = Tensor([memory.images, memory.layout.count, 4], logits)
        self.isValid = isValid
    }

    /// `[N, S, C]` with zeros where the proposal is not valid.
    func masking(_ values: Tensor) -> Tensor {
        precondition(values.shape.rank == 3 && values.count / values.shape[2] == isValid.count, "\(values.shape)")
        let width = values.shape[2]
        var masked = values
        masked.withMutableElements { elements in
            for (location, isValid) in isValid.enumerated() where !isValid {
                elements[location * width..<(location + 1) * width].update(repeating: 0)
            }
        }
        return masked
    }
}
