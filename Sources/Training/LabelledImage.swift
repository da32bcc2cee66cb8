import Boxes
import Images

/// A photograph and the objects in it, before it becomes part of a batch.
public struct LabelledImage: Sendable, Equatable {
    /// An object in the image.
    public struct Object: Sendable, Hashable {
        /// A column of the logits, from 0.
        public var classID: Int
        /// xyxy in pixels of the image, inside it.
        public var box: CornerBox

        public init(classID: Int, box: CornerBox) {
            self.classID = classID
            self.box = box
        }
    }

    /// Of any size.
    public var image: Image
    /// In any order; there may be none.
    public var objects: [Object]
    /// Where it comes from, for messages: a file's path.
    public var name: String

    public init(image: Image, objects: [Object], name: String = "") {
        self.image = image
        self.objects = objects
        self.name = name
    }

    /// The objects as a ``Criterion`` takes them: cxcywh in 0...1 of the image.
    public var targets: Targets {
        Targets(
            classIDs: objects.map(\.classID),
            boxes: objects.map {
                CenterBox($0.box.scaled(width: 1 / Float(image.width), height: 1 / Float(image.height)))
            })
    }
}
