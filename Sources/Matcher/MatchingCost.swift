// What it costs to call a predicted box by the name of a labelled object.
// Source: models/matcher.py (HungarianMatcher) of fundamentalvision/Deformable-DETR; the Hugging Face weights are the defaults of
// DeformableDetrConfig (class_cost, bbox_cost, giou_cost) in transformers 5.23.

import Boxes
import Foundation
import Tensors

/// A labelled object of an image.
public struct MatchingTarget: Sendable, Hashable {
    /// The column of its class in the logits.
    public var classID: Int
    /// In 0...1 of the image's width and height.
    public var box: CenterBox

    public init(classID: Int, box: CenterBox) {
        self.classID = classID
        self.box = box
    }
}

/// The weighted sum of a class cost, the L1 distance of the boxes, and their negated generalised IoU.
public struct MatchingCost: Sendable, Hashable {
    public var classWeight: Double
    public var distanceWeight: Double
    public var overlapWeight: Double
    /// Focal loss's weight of the positive class.
    public var focalAlpha = 0.25
    /// Focal loss's exponent.
    public var focalGamma = 2.0

    /// The authors' weights: 2, 5, 2.
    public static let published = MatchingCost(classWeight: 2, distanceWeight: 5, overlapWeight: 2)
    /// The weights of a model trained with Hugging Face's defaults: 1, 5, 2.
    public static let huggingFace = MatchingCost(classWeight: 1, distanceWeight: 5, overlapWeight: 2)

    public init(classWeight: Double, distanceWeight: Double, overlapWeight: Double) {
        self.classWeight = classWeight
        self.distanceWeight = distanceWeight
        self.overlapWeight = overlapWeight
    }

    /// The class cost of one logit: focal loss if this is the object's class, less focal loss if it is not.
    ///
    /// alpha (1-p)^gamma (-ln(p + 1e-8)) - (1-alpha) p^gamma (-ln(1-p + 1e-8)), with p = sigmoid(logit).
    public func classCost(logit: Float) -> Double {
        let probability = 1 / (1 + exp(-Double(logit)))
        let positive = focalAlpha * pow(1 - probability, focalGamma) * -log(probability + 1e-8)
        let negative = (1 - focalAlpha) * pow(probability, focalGamma) * -log(1 - probability + 1e-8)
        return positive - negative
    }

    /// The costs `[Q, targets]` of one image, row by row.
    ///
    /// - Parameters:
    ///   - logits: `[Q, C]`.
    ///   - boxes: Q predicted boxes in 0...1 of the image's width and height.
    /// - Precondition: each target's class is one of the C columns.
    public func matrix(
        logits: UnsafeBufferPointer<Float>, classes: Int, boxes: [CenterBox], targets: [MatchingTarget]
    ) -> [Double] {
        precondition(logits.count == boxes.count * classes, "\(logits.count) logits for \(boxes.count) x \(classes)")
        let targetCorners = targets.map { CornerBox($0.box) }
        // Objects of one class share its cost; in two-stage all have one, and there are thousands of queries.
        let classIDs = Set(targets.map(\.classID)).sorted()
        let slots = targets.map { target in classIDs.firstIndex(of: target.classID) ?? 0 }
        var classCosts = [Double](repeating: 0, count: classIDs.count)
        var costs: [Double] = []
        costs.reserveCapacity(boxes.count * targets.count)
        for (query, box) in boxes.enumerated() {
            let corners = CornerBox(box)
            for (slot, classID) in classIDs.enumerated() {
                classCosts[slot] = classCost(logit: logits[query * classes + classID])
            }
            for (index, (target, targetCorner)) in zip(targets, targetCorners).enumerated() {
                let overlap = corners.generalizedIntersectionOverUnion(targetCorner)
                costs.append(
                    classWeight * classCosts[slots[index]] + distanceWeight * Double(box.distance(to: target.box))
                        - overlapWeight * Double(overlap))
            }
        }
        return costs
    }
}

extension CenterBox {
    /// The sum of the absolute differences of centre, width and height.
    fileprivate func distance(to other: CenterBox) -> Float {
        abs(centerX - other.centerX) + abs(centerY - other.centerY) + abs(width - other.width)
            + abs(height - other.height)
    }
}
