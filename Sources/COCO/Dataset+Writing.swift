// Writing annotation files, as pycocotools and `Dataset(contentsOf:)` read them.

import Checkpoint
import Tensors

extension Dataset {
    /// Writes the annotation file at `path`; a reader sees the old file or the whole new one.
    ///
    /// Numbers read back as they are. A file name must not be nil for programs other than this one to find the image.
    ///
    /// - Precondition: every number is finite.
    /// - Throws: `FileError`.
    public func write(to path: String) throws {
        try AtomicFile.write(json.utf8, to: path)
    }

    /// The annotation file's content: an object a line.
    public var json: String {
        let sections = [
            Self.array("images", images.map(\.json)), Self.array("annotations", annotations.map(\.json)),
            Self.array("categories", categories.map(\.json)),
        ]
        return "{\n" + sections.joined(separator: ",\n") + "\n}\n"
    }

    private static func array(_ name: String, _ objects: [String]) -> String {
        "\"\(name)\": [" + (objects.isEmpty ? "]" : "\n" + objects.joined(separator: ",\n") + "\n]")
    }
}

extension DatasetImage {
    fileprivate var json: String {
        var text = "{\"id\": \(id)"
        if let fileName { text += ", \"file_name\": \(JSONValue.quoted(fileName))" }
        if let width { text += ", \"width\": \(width)" }
        if let height { text += ", \"height\": \(height)" }
        return text + "}"
    }
}

extension Annotation {
    fileprivate var json: String {
        let numbers = [box.x, box.y, box.width, box.height]
        precondition(
            numbers.allSatisfy(\.isFinite) && area.isFinite, "annotation \(id) has box \(numbers) and area \(area)")
        return "{\"id\": \(id), \"image_id\": \(imageID), \"category_id\": \(categoryID), \"bbox\": \(numbers), "
            + "\"area\": \(area), \"iscrowd\": \(isCrowd ? 1 : 0)}"
    }
}

extension Category {
    fileprivate var json: String { "{\"id\": \(id), \"name\": \(JSONValue.quoted(name))}" }
}
