// Which query answers for which labelled object: the set matching that a DETR's loss is computed on.
// Source: models/matcher.py (HungarianMatcher) of fundamentalvision/Deformable-DETR.

import Boxes
import Tensors

/// Matches a batch's predictions with its labelled objects, each image alone.
public struct HungarianMatcher: Sendable {
    public var cost: MatchingCost

    public init(cost: MatchingCost = .published) {
        self.cost = cost
    }

    /// The cheapest pairing of queries (rows) with objects (columns) of each image: `min(Q, objects)` pairs.
    ///
    /// - Parameters:
    ///   - logits: `[N, Q, C]`.
    ///   - boxes: `[N, Q, 4]`, cxcywh in 0...1 of each image's width and height.
    ///   - targets: the N images' objects; an image may have none.
    /// - Throws: ``MatchingError`` for an object of a class without a column, ``AssignmentError`` where logits or boxes are
    ///   not finite.
    public func callAsFunction(logits: Tensor, boxes: Tensor, targets: [[MatchingTarget]]) throws -> [Assignment] {
        precondition(logits.shape.rank == 3 && boxes.shape.rank == 3, "logits \(logits.shape), boxes \(boxes.shape)")
        let (images, queries, classes) = (logits.shape[0], logits.shape[1], logits.shape[2])
        precondition(boxes.shape == [images, queries, 4], "boxes \(boxes.shape) for logits \(logits.shape)")
        precondition(targets.count == images, "\(targets.count) lists of objects for logits \(logits.shape)")
        return try logits.withElements { logits in
            try boxes.withElements { boxes in
                try targets.enumerated().map { image, targets in
                    for (object, target) in targets.enumerated() where !(0..<classes).contains(target.classID) {
                        throw MatchingError.classOutOfRange(
                            image: image, object: object, classID: target.classID, classes: classes)
                    }
                    let predicted = (image * queries..<(image + 1) * queries).map { query in
                        CenterBox(
                            centerX: boxes[query * 4], centerY: boxes[query * 4 + 1], width: boxes[query * 4 + 2],
                            height: boxes[query * 4 + 3])
                    }
                    let rows = image * queries * classes..<(image + 1) * queries * classes
                    let costs = cost.matrix(
                        logits: UnsafeBufferPointer(rebasing: logits[rows]), classes: classes, boxes: predicted,
                        targets: targets)
                    return try LinearAssignment.solve(costs, rows: queries, columns: targets.count)
                }
            }
        }
    }
}
