// How much two boxes overlap. Source: util/box_ops.py (box_iou, generalized_box_iou) of fundamentalvision/Deformable-DETR.

extension CornerBox {
    /// The area of the two boxes' common part over the area of their union: 0...1.
    ///
    /// Boxes without area have no overlap with anything: 0, where the source divides 0 by 0.
    public func intersectionOverUnion(_ other: CornerBox) -> Float {
        let (intersection, union) = intersectionAndUnion(other)
        return union > 0 ? intersection / union : 0
    }

    /// The IoU less the part of the smallest enclosing box that belongs to neither: -1...1.
    ///
    /// Where the enclosing box has no area it is the IoU, 0. Source of the measure: Rezatofighi et al., "Generalized
    /// intersection over union", 2019.
    public func generalizedIntersectionOverUnion(_ other: CornerBox) -> Float {
        let (intersection, union) = intersectionAndUnion(other)
        let overlap = union > 0 ? intersection / union : 0
        let enclosing = CornerBox(
            xMin: min(xMin, other.xMin), yMin: min(yMin, other.yMin), xMax: max(xMax, other.xMax),
            yMax: max(yMax, other.yMax)
        ).area
        return enclosing > 0 ? overlap - (enclosing - union) / enclosing : overlap
    }

    private func intersectionAndUnion(_ other: CornerBox) -> (intersection: Float, union: Float) {
        let intersection = CornerBox(
            xMin: max(xMin, other.xMin), yMin: max(yMin, other.yMin), xMax: min(xMax, other.xMax),
            yMax: min(yMax, other.yMax)
        ).area
        return (intersection, area + other.area - intersection)
    }
}
