import Boxes
import Images

/// A photograph and the objects in it, before it becomes part of a batch.
public struct LabelledImage: Sendable, Equatable {
    /// An object in the image.
    public struct Object: Sendable, Hashable {
        /// A column of the logits.
        public var classID: Int
        /// Pixels of the image, inside it.
        public var box: CornerBox

        public init(classID: Int, box: CornerBox) {
            self.classID = classID
            self.box = box
        }
    }

    public var image: Image
    public var objects: [Object]

    public init(image: Image, objects: [Object]) {
        self.image = image
        self.objects = objects
    }

    /// The objects as a criterion takes them.
    public var targets: Targets {
        Targets(
            classIDs: objects.map(\.classID),
            boxes: objects.map {
                CenterBox($0.box.scaled(width: 1 / Float(image.width), height: 1 / Float(image.height)))
            })
    }
}
