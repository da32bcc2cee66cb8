// A COCO dataset as a value. Source of the format: https://cocodataset.org/#format-data, "object detection".

/// Images, the objects in them, and the classes that these belong to.
public struct Dataset: Sendable, Hashable {
    public var images: [DatasetImage]
    public var annotations: [Annotation]
    public var categories: [Category]

    public init(images: [DatasetImage] = [], annotations: [Annotation] = [], categories: [Category] = []) {
        self.images = images
        self.annotations = annotations
        self.categories = categories
    }

    /// Annotation ids that more than one annotation has, in the order of the first. Harmless here, as nothing goes by an
    /// annotation's id; pycocotools takes the last annotation for each of them.
    public var repeatedAnnotationIDs: [Int] {
        var counts: [Int: Int] = [:]
        for annotation in annotations { counts[annotation.id, default: 0] += 1 }
        guard counts.count < annotations.count else { return [] }
        var seen: Set<Int> = []
        return annotations.map(\.id).filter { counts[$0, default: 0] > 1 && seen.insert($0).inserted }
    }
}

/// An image of a dataset.
public struct DatasetImage: Sendable, Hashable {
    public var id: Int
    /// The file's path from the dataset's folder of images; nil where the annotation file has none.
    public var fileName: String?
    /// In pixels; nil where the annotation file has none.
    public var width: Int?
    /// In pixels; nil where the annotation file has none.
    public var height: Int?

    public init(id: Int, fileName: String? = nil, width: Int? = nil, height: Int? = nil) {
        self.id = id
        self.fileName = fileName
        self.width = width
        self.height = height
    }
}

/// An object in an image, or a crowd of them.
public struct Annotation: Sendable, Hashable {
    public var id: Int
    public var imageID: Int
    public var categoryID: Int
    /// May reach out of the image and may have no area.
    public var box: SizedBox
    /// In square pixels: the object's outline, where there is one, and not the box. Evaluation by size goes by it.
    public var area: Double
    /// Whether the box holds many objects that nobody marked one by one.
    public var isCrowd: Bool

    /// - Parameter area: nil takes the box's.
    public init(id: Int, imageID: Int, categoryID: Int, box: SizedBox, area: Double? = nil, isCrowd: Bool = false) {
        self.id = id
        self.imageID = imageID
        self.categoryID = categoryID
        self.box = box
        self.area = area ?? box.area
        self.isCrowd = isCrowd
    }
}

/// A class of a COCO dataset.
public struct Category: Sendable, Hashable {
    public var id: Int
    public var name: String

    public init(id: Int, name: String) {
        self.id = id
        self.name = name
    }
}

/// A detection to be judged. Source of the format: https://cocodataset.org/#format-results.
public struct DetectionResult: Sendable, Hashable {
    public var imageID: Int
    public var categoryID: Int
    public var box: SizedBox
    public var score: Double

    public init(imageID: Int, categoryID: Int, box: SizedBox, score: Double) {
        self.imageID = imageID
        self.categoryID = categoryID
        self.box = box
        self.score = score
    }
}
