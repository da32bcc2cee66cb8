import Boxes

/// The true objects of one image.
public struct Targets: Sendable, Hashable {
    /// A class for each object: a column of the logits.
    public var classIDs: [Int]
    /// cxcywh in 0...1 of the image, without its padding.
    public var boxes: [CenterBox]

    /// - Precondition: as many classes as boxes.
    public init(classIDs: [Int], boxes: [CenterBox]) {
        precondition(classIDs.count == boxes.count, "\(classIDs.count) classes for \(boxes.count) boxes")
        self.classIDs = classIDs
        self.boxes = boxes
    }
}
