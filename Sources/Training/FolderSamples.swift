import Boxes
import COCO
import Foundation
import Images
import Tensors

/// The images of a folder with the boxes of a COCO annotation file, in another order every epoch.
///
/// Crowds never become objects: nobody knows which box a detector should find in one. Nor do boxes without area inside their
/// image. ``omitted`` counts both.
public struct FolderSamples: SampleSource {
    /// What of a dataset is no object to learn from.
    public struct Omitted: Sendable, Hashable {
        /// Annotations of many objects at once.
        public var crowds = 0
        /// Ids of annotations whose boxes have no area inside their image, in the file's order. Images whose size the annotation
        /// file does not give are not looked into.
        public var annotationsWithoutArea: [Int] = []
        /// Annotations of classes that were not asked for.
        public var otherClasses = 0
        /// Images without objects, where those were not to be kept.
        public var images = 0

        public init() {}
    }

    /// Which images are used, and how they are read.
    public struct Options: Sendable, Equatable {
        /// Decides each epoch's order.
        public var seed: UInt64
        /// Whether images without objects stay: they teach what no object is.
        public var keepsEmptyImages: Bool
        /// Orientation, limits, and what is done about damaged files.
        public var decoding: DecodingOptions

        public init(seed: UInt64, keepsEmptyImages: Bool = true, decoding: DecodingOptions = DecodingOptions()) {
            self.seed = seed
            self.keepsEmptyImages = keepsEmptyImages
            self.decoding = decoding
        }
    }

    /// Names of the classes, by column of the logits.
    public let classNames: [String]
    /// The annotation file's id of each column's category.
    public let categoryIDs: [Int]
    /// What was left out.
    public let omitted: Omitted

    private struct Sample: Sendable {
        let imageID: Int
        let path: String
        let width: Int?
        let height: Int?
        /// In pixels; may reach out of the image.
        var objects: [LabelledImage.Object]
    }

    private let samples: [Sample]
    private let annotations: String
    private let options: Options

    /// Compares images, annotations and categories with each other.
    ///
    /// - Parameters:
    ///   - dataset: images, boxes and classes.
    ///   - annotations: the path of the file that the dataset comes from, for errors.
    ///   - folder: where the images' file names begin.
    ///   - classes: the classes by column, each the name of one category; nil takes all categories by ascending id. Objects
    ///     of other categories are left out.
    /// - Throws: ``DatasetError`` with the first mistake. No image is opened; ``checkFiles()`` looks whether they are there.
    public init(
        dataset: Dataset, annotations: String, folder: String, classes: [String]? = nil, options: Options
    ) throws {
        func failure(_ reason: DatasetError.Reason) -> DatasetError {
            DatasetError(annotations: annotations, reason: reason)
        }
        let categories = try Self.columns(of: dataset.categories, classes, failure)
        classNames = categories.map(\.name)
        categoryIDs = categories.map(\.id)
        self.annotations = annotations
        self.options = options

        var samples: [Sample] = []
        var places: [Int: Int] = [:]
        for image in dataset.images {
            places[image.id] = samples.count
            do {
                samples.append(
                    Sample(
                        imageID: image.id, path: try image.path(in: folder), width: image.width, height: image.height,
                        objects: []))
            } catch {
                throw failure(.fileName(error))
            }
        }
        let known = Set(dataset.categories.map(\.id))
        let columns = Dictionary(zip(categoryIDs, categoryIDs.indices)) { first, _ in first }
        var omitted = Omitted()
        for annotation in dataset.annotations {
            guard let place = places[annotation.imageID] else {
                throw failure(.unknownImage(annotationID: annotation.id, imageID: annotation.imageID))
            }
            guard known.contains(annotation.categoryID) else {
                throw failure(.unknownCategory(annotationID: annotation.id, categoryID: annotation.categoryID))
            }
            let box = CornerBox(annotation.box)
            if annotation.isCrowd {
                omitted.crowds += 1
            } else if columns[annotation.categoryID] == nil {
                omitted.otherClasses += 1
            } else if !box.hasArea(width: samples[place].width, height: samples[place].height) {
                omitted.annotationsWithoutArea.append(annotation.id)
            } else if let column = columns[annotation.categoryID] {
                samples[place].objects.append(LabelledImage.Object(classID: column, box: box))
            }
        }
        self.samples = options.keepsEmptyImages ? samples : samples.filter { !$0.objects.isEmpty }
        omitted.images = samples.count - self.samples.count
        self.omitted = omitted
        guard !self.samples.isEmpty else { throw failure(.noImages(listed: dataset.images.count)) }
        guard mostObjects > 0 else { throw failure(.noObjects(annotations: dataset.annotations.count)) }
    }

    private static func columns(
        of categories: [COCO.Category], _ classes: [String]?, _ failure: (DatasetError.Reason) -> DatasetError
    ) throws -> [COCO.Category] {
        guard !categories.isEmpty, classes?.isEmpty != true else { throw failure(.noCategories) }
        let byName = Dictionary(grouping: categories, by: \.name)
        guard let classes else {
            // Weights and results know classes by their names.
            if let twice = categories.first(where: { (byName[$0.name]?.count ?? 0) > 1 }) {
                throw failure(.ambiguousClass(name: twice.name))
            }
            return categories.sorted { $0.id < $1.id }
        }
        var taken: Set<String> = []
        var columns: [COCO.Category] = []
        for name in classes {
            guard let named = byName[name], let category = named.first else {
                throw failure(.unknownClass(name: name, known: categories.map(\.name)))
            }
            guard named.count == 1, taken.insert(name).inserted else { throw failure(.ambiguousClass(name: name)) }
            columns.append(category)
        }
        return columns
    }

    /// How many images are used.
    public var sampleCount: Int { samples.count }

    /// The most objects in an image.
    public var mostObjects: Int { samples.reduce(0) { max($0, $1.objects.count) } }

    /// Asks the system for every image's file without opening any, so that a training need not begin to find out.
    ///
    /// - Throws: ``DatasetError`` with the first image whose file is missing or no file, and how many there are of those.
    public func checkFiles() throws {
        var first: (imageID: Int, error: FileError)?
        var count = 0
        for sample in samples {
            guard let error = Self.problem(ofFileAt: sample.path) else { continue }
            first = first ?? (sample.imageID, error)
            count += 1
        }
        if let first {
            throw failure(.missingFiles(imageID: first.imageID, first: first.error, count: count))
        }
    }

    private static func problem(ofFileAt path: String) -> FileError? {
        do throws(FileError) {
            switch try FileStatus(of: path, text: path).kind {
            case .regular: return nil
            case .folder: return FileError(path: path, action: "read", systemCode: EISDIR)
            case .other, .link: return FileError(path: path, action: "read", systemCode: EINVAL)
            }
        } catch {
            return error
        }
    }

    /// The image at a position of an epoch's order, upright unless the options say otherwise, with its objects: boxes in its pixels,
    /// cut to it.
    ///
    /// - Parameters:
    ///   - epoch: any number; with the seed it fixes the order.
    ///   - position: `0 ..< sampleCount`; an epoch has every image once.
    /// - Throws: ``DatasetError`` for an image that cannot be read, or that has other sides than the annotation file says.
    public func sample(epoch: Int, position: Int) throws -> LabelledImage {
        let epochSeed = SeededGenerator.mixed(options.seed) ^ UInt64(bitPattern: Int64(epoch))
        let sample = samples[Permutation(count: samples.count, seed: epochSeed)[position]]
        let image: Image
        do {
            image = try Image(contentsOf: sample.path, options: options.decoding)
        } catch {
            throw failure(.unreadableImage(imageID: sample.imageID, error))
        }
        guard sample.width ?? image.width == image.width, sample.height ?? image.height == image.height else {
            throw failure(
                .wrongSize(
                    imageID: sample.imageID, path: sample.path, expectedWidth: sample.width ?? image.width,
                    expectedHeight: sample.height ?? image.height, foundWidth: image.width, foundHeight: image.height))
        }
        let objects = sample.objects.compactMap { object -> LabelledImage.Object? in
            guard object.box.hasArea(width: image.width, height: image.height) else { return nil }
            return LabelledImage.Object(
                classID: object.classID,
                box: object.box.clamped(width: Float(image.width), height: Float(image.height)))
        }
        return LabelledImage(image: image, objects: objects, name: sample.path)
    }

    private func failure(_ reason: DatasetError.Reason) -> DatasetError {
        DatasetError(annotations: annotations, reason: reason)
    }
}

extension CornerBox {
    /// Whether some of the box lies inside an image; a side that is not known limits nothing.
    fileprivate func hasArea(width: Int?, height: Int?) -> Bool {
        let inside = clamped(width: width.map(Float.init) ?? .infinity, height: height.map(Float.init) ?? .infinity)
        return inside.width > 0 && inside.height > 0
    }
}
