// What a predicted box costs that answers for a true one, and how that changes with the prediction.

import Boxes

/// L1 distance and generalised IoU of a predicted and a true box, with their gradients, all in Double.
///
/// Where a function has a corner, the gradient is PyTorch's: equal operands of min and max share it evenly, a clamp at its
/// bound passes it, |0| has slope 0. A pair without any area, for which PyTorch divides 0 by 0, has IoU 0 and no gradient.
///
/// - Source: `loss_boxes` in `models/deformable_detr.py` and `generalized_box_iou` in `util/box_ops.py` of
///   fundamentalvision/Deformable-DETR; Rezatofighi et al., "Generalized intersection over union", 2019.
struct BoxLoss {
    /// The sum of the absolute differences of cx, cy, w and h.
    let distance: Double
    /// With respect to the prediction's cx, cy, w and h.
    let distanceGradient: SIMD4<Double>
    /// 1 - GIoU: 0...2.
    let overlap: Double
    let overlapGradient: SIMD4<Double>

    init(predicted: CenterBox, target: CenterBox) {
        let difference = SIMD4(predicted) - SIMD4(target)
        distance = difference[0].magnitude + difference[1].magnitude + difference[2].magnitude + difference[3].magnitude
        distanceGradient = SIMD4(repeating: 0)
            .replacing(with: 1, where: difference .> 0).replacing(with: -1, where: difference .< 0)

        let horizontal = Extent(
            predicted: (Double(predicted.centerX), Double(predicted.width)),
            target: (Double(target.centerX), Double(target.width)))
        let vertical = Extent(
            predicted: (Double(predicted.centerY), Double(predicted.height)),
            target: (Double(target.centerY), Double(target.height)))

        // Each area is a product of one extent along x and one along y.
        let intersection = horizontal.common * vertical.common
        let union = horizontal.length * vertical.length + horizontal.targetLength * vertical.targetLength - intersection
        let enclosing = horizontal.enclosing * vertical.enclosing
        var overlap = 0.0
        // The derivatives of GIoU with respect to the three areas.
        var (byIntersection, byUnion, byEnclosing) = (0.0, 0.0, 0.0)
        if union > 0 {
            overlap = intersection / union
            byIntersection = 1 / union
            byUnion = -overlap / union
        }
        if enclosing > 0 {
            overlap -= (enclosing - union) / enclosing
            byUnion += 1 / enclosing
            byEnclosing = -union / enclosing / enclosing
        }
        byIntersection -= byUnion
        /// The derivatives with respect to one axis's minimum and maximum, given the extents along the other.
        func slope(along axis: Extent, across other: Extent) -> SIMD2<Double> {
            byIntersection * other.common * axis.commonSlope + byUnion * other.length * SIMD2(-1, 1)
                + byEnclosing * other.enclosing * axis.enclosingSlope
        }
        let x = slope(along: horizontal, across: vertical)
        let y = slope(along: vertical, across: horizontal)
        self.overlap = 1 - overlap
        // Minimum and maximum are the centre less and plus half the extent.
        overlapGradient = -SIMD4(x[0] + x[1], y[0] + y[1], (x[1] - x[0]) / 2, (y[1] - y[0]) / 2)
    }
}

/// A predicted and a true box along one axis: lengths, and the derivatives of two of them with respect to the prediction's minimum
/// and maximum.
private struct Extent {
    let length: Double
    let targetLength: Double
    /// What both cover; 0 if they are apart.
    let common: Double
    let commonSlope: SIMD2<Double>
    /// From the lower minimum to the higher maximum.
    let enclosing: Double
    let enclosingSlope: SIMD2<Double>

    init(predicted: (center: Double, length: Double), target: (center: Double, length: Double)) {
        let (low, high) = (predicted.center - 0.5 * predicted.length, predicted.center + 0.5 * predicted.length)
        let (targetLow, targetHigh) = (target.center - 0.5 * target.length, target.center + 0.5 * target.length)
        /// How much of the larger of two numbers is the first.
        func share(_ first: Double, over second: Double) -> Double { first > second ? 1 : first == second ? 0.5 : 0 }
        length = high - low
        targetLength = targetHigh - targetLow
        let covered = min(high, targetHigh) - max(low, targetLow)
        common = max(0, covered)
        commonSlope = covered >= 0 ? SIMD2(-share(low, over: targetLow), share(targetHigh, over: high)) : .zero
        // The longer of the two is never negative, so that this clamp never holds anything back.
        enclosing = max(high, targetHigh) - min(low, targetLow)
        enclosingSlope = SIMD2(-share(targetLow, over: low), share(high, over: targetHigh))
    }
}

extension SIMD4<Double> {
    fileprivate init(_ box: CenterBox) {
        self.init(Double(box.centerX), Double(box.centerY), Double(box.width), Double(box.height))
    }
}
