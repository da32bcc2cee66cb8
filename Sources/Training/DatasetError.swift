import COCO
import Images
import Tensors

/// Why a dataset cannot be trained on: which annotation file, which of its images or annotations, what was expected and found.
public struct DatasetError: DiagnosedError, Equatable {
    /// The mistake.
    public enum Reason: Sendable, Equatable {
        /// The file lists no categories.
        case noCategories
        /// No image is left; `listed` is how many the file has.
        case noImages(listed: Int)
        /// No image has an object to learn from; `annotations` is how many the file has.
        case noObjects(annotations: Int)
        /// A class was asked for that no category is called; `known` has the names of all.
        case unknownClass(name: String, known: [String])
        /// A class was asked for twice, or several categories are called so.
        case ambiguousClass(name: String)
        /// An annotation is of an image that the file does not list.
        case unknownImage(annotationID: Int, imageID: Int)
        /// An annotation is of a category that the file does not list.
        case unknownCategory(annotationID: Int, categoryID: Int)
        /// An image has no file name, or one that leads out of the folder.
        case fileName(FileNameError)
        /// The first of `count` images that are not there, or no files.
        case missingFiles(imageID: Int, first: FileError, count: Int)
        /// An image's file is damaged, of another format, or too large.
        case unreadableImage(imageID: Int, ImageError)
        /// The decoded image has other sides than the annotation file says. In pixels.
        case wrongSize(
            imageID: Int, path: String, expectedWidth: Int, expectedHeight: Int, foundWidth: Int, foundHeight: Int)
    }

    /// The annotation file's path.
    public let annotations: String
    /// The first mistake that was found.
    public let reason: Reason

    public init(annotations: String, reason: Reason) {
        self.annotations = annotations
        self.reason = reason
    }

    public var code: String {
        switch reason {
        case .noCategories: "no_category"
        case .noImages: "no_input"
        case .noObjects: "no_objects"
        case .unknownClass: "unknown_class"
        case .ambiguousClass: "ambiguous_class"
        case .unknownImage: "unknown_image"
        case .unknownCategory: "unknown_category"
        case .fileName(let error): error.code
        case .missingFiles(_, let first, _): first.code
        case .unreadableImage(_, let error): error.code
        case .wrongSize: "wrong_image_size"
        }
    }

    public var description: String { "\(annotations): \(sentence)" }

    private var sentence: String {
        switch reason {
        case .noCategories:
            return "categories: expected at least one, found none"
        case .noImages(let listed):
            return listed == 0
                ? "images: expected at least one, found none"
                : "images: expected at least one with objects, found none among \(listed); keep images without objects"
        case .noObjects(let annotations):
            return
                "annotations: expected at least one object, found none among \(annotations): crowds, boxes without area and other"
                + " classes do not count"
        case .unknownClass(let name, let known):
            let names = known.prefix(20).map { "\"\($0)\"" }.joined(separator: ", ") + (known.count > 20 ? ", ..." : "")
            return "categories: expected one called \"\(name)\", found \(names)"
        case .ambiguousClass(let name):
            return
                "categories: expected the class \"\(name)\" once, found it several times; give each class a name of its own"
        case .unknownImage(let annotationID, let imageID):
            return "annotation \(annotationID): expected an image_id that images lists, found \(imageID)"
        case .unknownCategory(let annotationID, let categoryID):
            return "annotation \(annotationID): expected a category_id that categories lists, found \(categoryID)"
        case .fileName(let error):
            return error.description
        case .missingFiles(let imageID, let first, let count):
            let others = count > 1 ? "; so it is with \(count) images in all" : ""
            return "image \(imageID): expected its file in the folder of images, found \(first.description)\(others)"
        case .unreadableImage(let imageID, let error):
            return "image \(imageID): \(error.description)"
        case .wrongSize(let imageID, let path, let expectedWidth, let expectedHeight, let foundWidth, let foundHeight):
            let isTurned = (expectedWidth, expectedHeight) == (foundHeight, foundWidth)
            let advice =
                isTurned
                ? "the camera's orientation may have been ignored when the boxes were drawn: ignore it here, too"
                : "the boxes belong to another version of the image"
            return "image \(imageID): expected \(expectedWidth)x\(expectedHeight) pixels, found"
                + " \(foundWidth)x\(foundHeight) in \(path); \(advice)"
        }
    }
}
