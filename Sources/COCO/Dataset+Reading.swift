// Reading annotation files. What other readers stumble over has a meaning here:
//
// - `iscrowd` missing or null: no crowd. `area` missing or null: the box's. A category without name: its id as text.
// - An image needs no more than its id to be judged by. Other members (outlines, licences, ...) are passed over.
// - Ids may be 0 or negative. An integer may be written as 42.0.
// - Boxes may reach out of their image or have no area; a negative width or height is an error.
// - Images and categories with the same id, and annotations of images or categories that are not listed, are errors. Annotations
//   may share ids: see `repeatedAnnotationIDs`.
// - NaN and infinity are no JSON. More than 16,384 categories are refused: each costs an evaluation 100 KB.

extension Dataset {
    /// More than any dataset of boxes has (V3Det has 13,204).
    private static let maximumCategoryCount = 16_384
    private static let expected = "a dataset: an object with images, annotations and categories"

    /// Reads the annotation file at `path`, of at most 2 GiB.
    ///
    /// - Throws: ``COCOError`` with the first mistake, or `FileError`.
    public init(contentsOf path: String) throws {
        self = try RecordReader.read(contentsOf: path, Self.init)
    }

    /// Reads an annotation file's content.
    ///
    /// - Parameter origin: the file's path, for errors.
    /// - Throws: ``COCOError`` with the first mistake.
    public init(parsing bytes: [UInt8], origin: String) throws {
        self = try RecordReader.read(bytes, origin: origin, Self.init)
    }

    private init(_ reader: inout RecordReader) throws {
        var images: [DatasetImage]?
        var annotations: [Annotation]?
        var categories: [Category]?
        try reader.topLevelObject(expected: Self.expected) { reader, key in
            switch key {
            case "images": images = try reader.records(key, as: ImageDraft.self)
            case "annotations": annotations = try reader.records(key, as: AnnotationDraft.self)
            case "categories": categories = try reader.records(key, as: CategoryDraft.self)
            default: try reader.skip()
            }
        }
        self.init(
            images: try reader.required(images, "images", Self.expected),
            annotations: try reader.required(annotations, "annotations", Self.expected),
            categories: try reader.required(categories, "categories", Self.expected))
        guard self.categories.count <= Self.maximumCategoryCount else {
            throw reader.error(
                at: "categories", expected: "at most \(Self.maximumCategoryCount)", found: "\(self.categories.count)")
        }
        try checkReferences(origin: reader.path)
    }

    private func checkReferences(origin: String) throws {
        let imageIDs = try Self.distinct(images.map(\.id), "images", origin)
        let categoryIDs = try Self.distinct(categories.map(\.id), "categories", origin)
        for (index, annotation) in annotations.enumerated() {
            let wrong: (field: String, id: Int, list: String)? =
                !imageIDs.contains(annotation.imageID)
                ? ("image_id", annotation.imageID, "images")
                : !categoryIDs.contains(annotation.categoryID)
                    ? ("category_id", annotation.categoryID, "categories") : nil
            guard let wrong else { continue }
            throw COCOError(
                path: origin,
                location: RecordReader.place("annotations", index, id: annotation.id) + ", \(wrong.field)",
                expected: "an id that \(wrong.list) lists", found: "\(wrong.id)")
        }
    }

    private static func distinct(_ ids: [Int], _ section: String, _ origin: String) throws -> Set<Int> {
        var seen: Set<Int> = []
        for (index, id) in ids.enumerated() where !seen.insert(id).inserted {
            throw COCOError(
                path: origin, location: RecordReader.place(section, index, id: nil), expected: "an id of its own",
                found: "\(id) again")
        }
        return seen
    }

    /// Reads a file of results for this dataset: `[{"image_id", "category_id", "bbox", "score"}]`. The array may be empty.
    ///
    /// A category that the dataset does not have is no mistake, as a detector may know more than a dataset asks for; a
    /// negative width or height is none either: such a box overlaps nothing.
    ///
    /// - Throws: ``COCOError`` with the first mistake, such as an image that the dataset does not have; or `FileError`.
    public func results(contentsOf path: String) throws -> [DetectionResult] {
        try RecordReader.read(contentsOf: path, results)
    }

    /// Reads the content of a file of results for this dataset.
    ///
    /// - Parameter origin: the file's path, for errors.
    public func results(parsing bytes: [UInt8], origin: String) throws -> [DetectionResult] {
        try RecordReader.read(bytes, origin: origin, results)
    }

    private func results(_ reader: inout RecordReader) throws -> [DetectionResult] {
        let results = try reader.records(
            "results", as: ResultDraft.self,
            expected: "an array of objects with image_id, category_id, bbox and score")
        let known = Set(images.map(\.id))
        for (index, result) in results.enumerated() where !known.contains(result.imageID) {
            throw COCOError(
                path: reader.path, location: RecordReader.place("results", index, id: nil) + ", image_id",
                expected: "an image of the dataset that is evaluated on", found: "\(result.imageID)")
        }
        return results
    }
}

// MARK: The objects of the arrays

private struct ImageDraft: RecordDraft {
    private var id: Int?
    private var fileName: String?
    private var width: Int?
    private var height: Int?

    mutating func read(_ field: String, from reader: inout RecordReader) throws {
        switch field {
        case "id": id = try reader.ownID()
        case "file_name": fileName = try reader.isNull() ? nil : reader.text()
        case "width": width = try Self.side(&reader)
        case "height": height = try Self.side(&reader)
        default: try reader.skip()
        }
    }

    private static func side(_ reader: inout RecordReader) throws -> Int? {
        if try reader.isNull() { return nil }
        return try reader.integer().flatMap { side in
            1...Int(Int32.max) ~= side
                ? side : reader.wrong(expected: "a number of pixels, 1 or more", found: "\(side)")
        }
    }

    func record(_ reader: RecordReader) throws -> DatasetImage {
        DatasetImage(
            id: try reader.required(id, "id", "an integer"), fileName: fileName, width: width, height: height)
    }
}

private struct AnnotationDraft: RecordDraft {
    private var id: Int?
    private var imageID: Int?
    private var categoryID: Int?
    private var box: SizedBox?
    private var area: Double?
    private var isCrowd: Bool?

    mutating func read(_ field: String, from reader: inout RecordReader) throws {
        switch field {
        case "id": id = try reader.ownID()
        case "image_id": imageID = try reader.integer()
        case "category_id": categoryID = try reader.integer()
        case "bbox":
            box = try reader.box()
            if let box, box.width < 0 || box.height < 0 {
                reader.note(
                    expected: "[x, y, width, height] with width and height of 0 or more",
                    found: "\(box.width) x \(box.height)")
            }
        case "area":
            let largest = RecordReader.maximumCoordinate * RecordReader.maximumCoordinate
            area = try reader.isNull() ? nil : reader.number(in: 0...largest, "a number from 0 to \(largest)")
        case "iscrowd": isCrowd = try reader.isNull() ? nil : reader.flag()
        default: try reader.skip()
        }
    }

    func record(_ reader: RecordReader) throws -> Annotation {
        Annotation(
            id: try reader.required(id, "id", "an integer"),
            imageID: try reader.required(imageID, "image_id", "an integer"),
            categoryID: try reader.required(categoryID, "category_id", "an integer"),
            box: try reader.required(box, "bbox", "[x, y, width, height]"), area: area, isCrowd: isCrowd ?? false)
    }
}

private struct CategoryDraft: RecordDraft {
    private var id: Int?
    private var name: String?

    mutating func read(_ field: String, from reader: inout RecordReader) throws {
        switch field {
        case "id": id = try reader.ownID()
        case "name": name = try reader.isNull() ? nil : reader.text()
        default: try reader.skip()
        }
    }

    func record(_ reader: RecordReader) throws -> Category {
        let id = try reader.required(id, "id", "an integer")
        return Category(id: id, name: name ?? String(id))
    }
}

private struct ResultDraft: RecordDraft {
    private var imageID: Int?
    private var categoryID: Int?
    private var box: SizedBox?
    private var score: Double?

    mutating func read(_ field: String, from reader: inout RecordReader) throws {
        switch field {
        case "image_id": imageID = try reader.integer()
        case "category_id": categoryID = try reader.integer()
        case "bbox": box = try reader.box()
        case "score":
            let largest = Double.greatestFiniteMagnitude
            score = try reader.number(in: -largest...largest, "a number")
        default: try reader.skip()
        }
    }

    func record(_ reader: RecordReader) throws -> DetectionResult {
        DetectionResult(
            imageID: try reader.required(imageID, "image_id", "an integer"),
            categoryID: try reader.required(categoryID, "category_id", "an integer"),
            box: try reader.required(box, "bbox", "[x, y, width, height]"),
            score: try reader.required(score, "score", "a number"))
    }
}
