import DeformDETR

/// What a ``Criterion`` found.
public struct Loss: Sendable {
    /// The three losses of one decoder layer or of the proposals, divided by the number of objects, not weighted.
    public struct Terms: Sendable, Hashable {
        /// What the authors' program appends to the names: nothing for the last decoder layer, `_0`, `_1`, ... for those
        /// before, `_enc` for the proposals.
        public let suffix: String
        /// The focal loss of all logits.
        public let classification: Double
        /// The L1 distances of the matched boxes.
        public let distance: Double
        /// 1 - GIoU of the matched boxes.
        public let overlap: Double

        /// Under the names that the authors' program logs: `loss_ce`, `loss_bbox` and `loss_giou` with the suffix.
        public var named: [(name: String, value: Double)] {
            [("loss_ce", classification), ("loss_bbox", distance), ("loss_giou", overlap)].map { ($0 + suffix, $1) }
        }
    }

    /// The weighted sum of all terms.
    public let total: Double
    /// The decoder layers that were judged, first to last, then the proposals.
    public let terms: [Terms]
    /// Of the last decoder layer's matched queries, how many percent have their highest logit in another class's column; nil
    /// if the batch has no objects. For people; no part of the total.
    public let classError: Double?
    /// By how many the last decoder layer's queries with a class of more than even odds differ from the image's objects: the mean
    /// over the images. For people; no part of the total.
    public let cardinalityError: Double
    /// The derivatives of ``total`` with respect to all logits and boxes, shaped like the output.
    public let gradient: TrainingOutput

    /// All terms by name, each layer's together.
    public var namedTerms: [(name: String, value: Double)] { terms.flatMap(\.named) }
}
