/// One object found in an image.
public struct Detection: Sendable, Hashable, Codable {
    /// The class's column in the network's logits; for COCO models the COCO category id.
    public var classID: Int
    /// The class's name, or its number as text where the model has no names.
    public var label: String
    /// The sigmoid of the class's logit, 0...1.
    public var score: Float
    /// Pixels of the upright original image, `xyxy`; not clamped to the image, as in the reference.
    public var box: CornerBox

    public init(classID: Int, label: String, score: Float, box: CornerBox) {
        self.classID = classID
        self.label = label
        self.score = score
        self.box = box
    }
}
