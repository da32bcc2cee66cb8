import Boxes
import Tensors

/// The network's output as detections: the best (query, class) pairs over the whole image, and, if asked for, of those on the same
/// thing the best alone.
///
/// - Source: `PostProcess` in `models/deformable_detr.py` of fundamentalvision/Deformable-DETR; it suppresses nothing. The
///   suppression is the usual greedy one, class by class, as in `batched_nms` of torchvision.
enum PostProcessing {
    /// - Parameters:
    ///   - logits: `[N, Q, classes]`.
    ///   - boxes: `[N, Q, 4]`, cxcywh in 0...1.
    ///   - image: which image of the batch.
    ///   - width: of the upright original, in pixels; `height` likewise.
    ///   - threshold: only scores above it.
    ///   - overlapLimit: of two boxes of a class with a larger IoU, the better one stays; 1 keeps all.
    ///   - topK: at most this many; of equal scores, the earlier query and then the lower class comes first.
    ///   - chosenClasses: only these, and the others use up no places; nil for all.
    /// - Returns: best first, each with the object query that found it; boxes are not clamped to the image.
    /// - Throws: ``DetectorError/nonfiniteOutput(query:)``.
    static func detections(
        logits: Tensor, boxes: Tensor, image: Int, width: Int, height: Int, classNames: [String?], threshold: Float,
        overlapLimit: Float, topK: Int, chosenClasses: Set<Int>?
    ) throws -> [(detection: Detection, query: Int)] {
        let (queries, classes) = (logits.shape[1], logits.shape[2])
        let logits = logits.rows(image..<image + 1).elements
        let boxes = boxes.rows(image..<image + 1).elements
        if let index = logits.firstIndex(where: { !$0.isFinite }) {
            throw DetectorError.nonfiniteOutput(query: index / classes)
        }
        if let index = boxes.firstIndex(where: { !$0.isFinite }) {
            throw DetectorError.nonfiniteOutput(query: index / 4)
        }
        precondition(logits.count == queries * classes && boxes.count == queries * 4, "logits and boxes disagree")

        // Of the pairs above the threshold, by logit: the sigmoid keeps their order.
        let candidates = logits.indices.filter { index in
            ReferencePoints.sigmoid(logits[index]) > threshold && chosenClasses?.contains(index % classes) ?? true
        }
        let best = candidates.sorted { left, right in
            logits[left] == logits[right] ? left < right : logits[left] > logits[right]
        }
        var kept: [(detection: Detection, query: Int)] = []
        var keptBoxes: [Int: [CornerBox]] = [:]
        for index in best {
            guard kept.count < topK else { break }
            let (query, classID) = (index / classes, index % classes)
            let box = CornerBox(
                CenterBox(
                    centerX: boxes[query * 4], centerY: boxes[query * 4 + 1], width: boxes[query * 4 + 2],
                    height: boxes[query * 4 + 3])
            ).scaled(width: Float(width), height: Float(height))
            if overlapLimit < 1 {
                let better = keptBoxes[classID, default: []]
                guard !better.contains(where: { $0.intersectionOverUnion(box) > overlapLimit }) else { continue }
                keptBoxes[classID, default: []].append(box)
            }
            let name = classID < classNames.count ? classNames[classID] : nil
            let detection = Detection(
                classID: classID, label: name ?? String(classID), score: ReferencePoints.sigmoid(logits[index]),
                box: box)
            kept.append((detection, query))
        }
        return kept
    }
}
