/// Where a detector looked for one detection: the places that an object query of the last decoder layer sampled, over all
/// levels.
///
/// Positions are pixels of the upright original image, x to the right and y down; they may lie outside it, where the network
/// sees zeros.
///
/// - Source: "Deformable DETR" (arXiv 2010.04159), figure 6.
public struct DetectionAttention: Sendable, Hashable, Codable {
    /// A position in pixels.
    public struct Position: Sendable, Hashable, Codable {
        public var x: Float
        public var y: Float

        public init(x: Float, y: Float) {
            self.x = x
            self.y = y
        }
    }

    /// One place that one head sampled in one level.
    public struct SamplingPoint: Sendable, Hashable, Codable {
        public var position: Position
        /// Of the feature levels, from 0, the finest.
        public var level: Int
        /// Of the attention heads, from 0.
        public var head: Int
        /// The attention weight, 0...1; a head's weights sum to 1 over all levels.
        public var weight: Float

        public init(position: Position, level: Int, head: Int, weight: Float) {
            self.position = position
            self.level = level
            self.head = head
            self.weight = weight
        }
    }

    /// The query's reference point, or its reference box's centre.
    public var reference: Position
    /// Head after head, each level after level.
    public var points: [SamplingPoint]

    public init(reference: Position, points: [SamplingPoint]) {
        self.reference = reference
        self.points = points
    }
}
