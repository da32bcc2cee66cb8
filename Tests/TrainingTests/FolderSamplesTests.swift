import Boxes
import COCO
import Foundation
import Images
import TestSupport
import Tensors
import Testing
import Training

@Suite struct FolderSamplesTests {
    private let folder: TemporaryFolder

    /// Three pictures, told apart by their widths, one in a folder of its own.
    init() throws {
        folder = try TemporaryFolder()
        try FileManager.default.createDirectory(atPath: "\(folder.path)/deep", withIntermediateDirectories: true)
        for (name, width) in [("a.png", 20), ("b.jpg", 30), ("deep/c.png", 40)] { try picture(name, width: width) }
    }

    private func picture(_ name: String, width: Int) throws {
        let pixels = [UInt8](repeating: UInt8(width), count: width * 10 * 3)
        try Image(width: width, height: 10, pixels: pixels).write(to: "\(folder.path)/\(name)")
    }

    private static let dataset = Dataset(
        images: [
            DatasetImage(id: 0, fileName: "a.png", width: 20, height: 10),
            DatasetImage(id: 5, fileName: "b.jpg"),
            DatasetImage(id: -3, fileName: "deep/c.png", width: 40, height: 10),
        ],
        annotations: [
            Annotation(id: 1, imageID: 0, categoryID: 9, box: SizedBox(x: 2, y: 3, width: 4, height: 5)),
            Annotation(id: 2, imageID: 0, categoryID: 2, box: SizedBox(x: 15, y: -4, width: 10, height: 8)),
            Annotation(id: 3, imageID: 5, categoryID: 9, box: SizedBox(x: 0, y: 0, width: 30, height: 10)),
            Annotation(
                id: 4, imageID: 5, categoryID: 9, box: SizedBox(x: 0, y: 0, width: 30, height: 10), isCrowd: true),
            Annotation(id: 5, imageID: 0, categoryID: 9, box: SizedBox(x: 2, y: 3, width: 0, height: 5)),
            Annotation(id: 6, imageID: 0, categoryID: 9, box: SizedBox(x: 20, y: 3, width: 5, height: 5)),
            Annotation(id: 7, imageID: 5, categoryID: 9, box: SizedBox(x: 31, y: 3, width: 5, height: 5)),
        ],
        categories: [Category(id: 9, name: "nine"), Category(id: 2, name: "two")])

    private func samples(
        _ dataset: Dataset = dataset, classes: [String]? = nil, seed: UInt64 = 1, keepsEmptyImages: Bool = true
    ) throws -> FolderSamples {
        try FolderSamples(
            dataset: dataset, annotations: "gt.json", folder: folder.path, classes: classes,
            options: .init(seed: seed, keepsEmptyImages: keepsEmptyImages))
    }

    private func byWidth(_ samples: FolderSamples, epoch: Int = 0) throws -> [Int: LabelledImage] {
        let all = try (0..<samples.sampleCount).map { try samples.sample(epoch: epoch, position: $0) }
        return Dictionary(uniqueKeysWithValues: all.map { ($0.image.width, $0) })
    }

    @Test func objectsByColumnInsideTheirImage() throws {
        let samples = try samples()
        try samples.checkFiles()
        #expect(samples.classNames == ["two", "nine"] && samples.categoryIDs == [2, 9])
        #expect(samples.sampleCount == 3)
        #expect(samples.omitted.crowds == 1 && samples.omitted.annotationsWithoutArea == [5, 6])
        #expect(samples.omitted.otherClasses == 0 && samples.omitted.images == 0)
        let found = try byWidth(samples)
        #expect(
            found[20]?.objects == [
                .init(classID: 1, box: CornerBox(xMin: 2, yMin: 3, xMax: 6, yMax: 8)),
                .init(classID: 0, box: CornerBox(xMin: 15, yMin: 0, xMax: 20, yMax: 4)),
            ])
        // The size of this one is known from its file alone, and so is that annotation 7 lies outside.
        #expect(
            found[30]?.objects == [.init(classID: 1, box: CornerBox(xMin: 0, yMin: 0, xMax: 30, yMax: 10))])
        #expect(found[40]?.objects == [])
    }

    @Test func classesThatAreAskedFor() throws {
        let samples = try samples(classes: ["nine"], keepsEmptyImages: false)
        #expect(samples.categoryIDs == [9] && samples.sampleCount == 2)
        #expect(samples.omitted.otherClasses == 1 && samples.omitted.images == 1)
        #expect(try byWidth(samples)[20]?.objects.map(\.classID) == [0])
        #expect(try self.samples(classes: ["nine", "two"]).categoryIDs == [9, 2])
    }

    /// Every epoch has every image once; seed and epoch decide the order.
    @Test func ordersOfEpochs() throws {
        func order(_ samples: FolderSamples, _ epoch: Int) throws -> [Int] {
            try (0..<3).map { try samples.sample(epoch: epoch, position: $0).image.width }
        }
        let first = try samples(seed: 1)
        let orders = try (0..<60).map { try order(first, $0) }
        #expect(orders.allSatisfy { $0.sorted() == [20, 30, 40] })
        #expect(Set(orders).count == 6)
        #expect(try orders == (0..<60).map { try order(try samples(seed: 1), $0) })
        #expect(try orders != (0..<60).map { try order(try samples(seed: 2), $0) })
    }

    /// Each number once, each as often in each place: 1,000 orders of few numbers, and one of many.
    @Test(arguments: [1, 2, 3, 4, 5, 16, 17, 33]) func permutations(count: Int) {
        var places = [Int](repeating: 0, count: count * count)
        for seed in 0..<UInt64(1000) {
            let permutation = Permutation(count: count, seed: seed)
            let order = (0..<count).map { permutation[$0] }
            #expect(order.sorted() == Array(0..<count))
            for (position, number) in order.enumerated() { places[position * count + number] += 1 }
        }
        let expected = 1000 / Double(count)
        // Five deviations of a binomial count.
        let tolerance = 5 * (expected * (1 - 1 / Double(count))).squareRoot()
        #expect(places.allSatisfy { abs(Double($0) - expected) <= tolerance })
    }

    @Test func aLargePermutation() {
        let count = 118_287
        let permutation = Permutation(count: count, seed: 7)
        let order = (0..<count).map { permutation[$0] }
        #expect(Set(order).count == count)
        // No trace of the old order: neighbours are a third of the range apart, deviation 0.24 / sqrt(count).
        let distance = zip(order, order.dropFirst()).reduce(0) { $0 + abs($1.0 - $1.1) }
        #expect(abs(Double(distance) / Double(count) / Double(count) - 1.0 / 3) < 0.004)
    }

    // MARK: What is wrong with a dataset

    private func expectError(
        _ reason: DatasetError.Reason, code: String, mentioning parts: [String],
        location: SourceLocation = #_sourceLocation, _ body: () throws -> Void
    ) {
        let error = #expect(throws: DatasetError.self, sourceLocation: location) { try body() }
        #expect(error?.reason == reason && error?.code == code, sourceLocation: location)
        for part in ["gt.json: "] + parts {
            #expect(error?.description.contains(part) == true, "\(error?.description ?? "")", sourceLocation: location)
        }
    }

    @Test func nothingToTrainOn() {
        var dataset = Self.dataset
        dataset.images = []
        dataset.annotations = []
        expectError(.noImages(listed: 0), code: "no_input", mentioning: ["images: expected"]) {
            _ = try samples(dataset)
        }
        dataset.images = Self.dataset.images
        expectError(.noImages(listed: 3), code: "no_input", mentioning: ["3"]) {
            _ = try samples(dataset, keepsEmptyImages: false)
        }
        dataset.categories = []
        expectError(.noCategories, code: "no_category", mentioning: ["categories"]) { _ = try samples(dataset) }
        expectError(.noCategories, code: "no_category", mentioning: ["categories"]) { _ = try samples(classes: []) }
    }

    @Test func classesThatDoNotExist() {
        expectError(
            .unknownClass(name: "three", known: ["nine", "two"]), code: "unknown_class",
            mentioning: ["\"three\"", "\"nine\", \"two\""]
        ) { _ = try samples(classes: ["two", "three"]) }
        expectError(.ambiguousClass(name: "two"), code: "ambiguous_class", mentioning: ["\"two\""]) {
            _ = try samples(classes: ["two", "two"])
        }
        var dataset = Self.dataset
        dataset.categories.append(Category(id: 11, name: "two"))
        expectError(.ambiguousClass(name: "two"), code: "ambiguous_class", mentioning: ["\"two\""]) {
            _ = try samples(dataset, classes: ["two"])
        }
    }

    /// A dataset that was made in memory, and not read, may contradict itself.
    @Test func unknownReferences() {
        var dataset = Self.dataset
        dataset.annotations[1].imageID = 77
        expectError(
            .unknownImage(annotationID: 2, imageID: 77), code: "unknown_image", mentioning: ["annotation 2", "77"]
        ) { _ = try samples(dataset) }
        dataset = Self.dataset
        dataset.annotations[1].categoryID = 77
        expectError(
            .unknownCategory(annotationID: 2, categoryID: 77), code: "unknown_category",
            mentioning: ["annotation 2", "77"]
        ) { _ = try samples(dataset) }
    }

    @Test(arguments: ["../a.png", "/etc/hostname", "deep/../../a.png", "a.png\0", ".."])
    func namesThatLeadElsewhere(name: String) {
        var dataset = Self.dataset
        dataset.images[2].fileName = name
        expectError(
            .fileName(.outsideFolder(imageID: -3, fileName: name)), code: "outside_folder",
            mentioning: ["image -3", name]
        ) { _ = try samples(dataset) }
    }

    @Test(arguments: [nil, ""]) func imagesWithoutName(name: String?) {
        var dataset = Self.dataset
        dataset.images[2].fileName = name
        expectError(
            .fileName(.missing(imageID: -3)), code: "no_file_name", mentioning: ["image -3: expected a file_name"]
        ) { _ = try samples(dataset) }
    }

    @Test func filesThatAreMissing() throws {
        var dataset = Self.dataset
        dataset.images[1].fileName = "deep"
        dataset.images[2].fileName = "none.png"
        let path = "\(folder.path)/deep"
        expectError(
            .missingFiles(
                imageID: 5, first: FileError(path: path, action: "read", systemCode: EISDIR), count: 2),
            code: "is_a_folder", mentioning: ["image 5", path, "2 images"]
        ) { try samples(dataset).checkFiles() }
        dataset.images[1].fileName = "b.jpg"
        let missing = FileError(path: "\(folder.path)/none.png", action: "open", systemCode: ENOENT)
        expectError(
            .missingFiles(imageID: -3, first: missing, count: 1), code: "not_found",
            mentioning: ["image -3", "none.png"]
        ) { try samples(dataset).checkFiles() }
    }

    private func readAll(_ samples: FolderSamples) throws {
        for position in 0..<samples.sampleCount { _ = try samples.sample(epoch: 0, position: position) }
    }

    @Test func filesThatAreNoImages() throws {
        let path = try folder.write(Array("text".utf8), as: "a.png")
        expectError(
            .unreadableImage(
                imageID: 0, ImageError(source: path, reason: .unknownFormat(firstBytes: Array("text".utf8)))),
            code: "unknown_image_format", mentioning: ["image 0", path]
        ) { try readAll(samples()) }
        try FileManager.default.removeItem(atPath: path)
        expectError(
            .unreadableImage(imageID: 0, ImageError(source: path, reason: .system(action: "open", systemCode: ENOENT))),
            code: "not_found", mentioning: ["image 0", path]
        ) { try readAll(samples()) }
    }

    @Test func imagesOfAnotherSize() throws {
        var dataset = Self.dataset
        (dataset.images[0].width, dataset.images[0].height) = (10, 20)
        let path = "\(folder.path)/a.png"
        expectError(
            .wrongSize(
                imageID: 0, path: path, expectedWidth: 10, expectedHeight: 20, foundWidth: 20, foundHeight: 10),
            code: "wrong_image_size", mentioning: ["image 0", path, "10x20", "20x10", "orientation"]
        ) { try readAll(samples(dataset)) }
        (dataset.images[0].width, dataset.images[0].height) = (21, nil)
        expectError(
            .wrongSize(
                imageID: 0, path: path, expectedWidth: 21, expectedHeight: 10, foundWidth: 20, foundHeight: 10),
            code: "wrong_image_size", mentioning: ["another version"]
        ) { try readAll(samples(dataset)) }
    }

    @Test func imagesThatAreTooLarge() throws {
        let samples = try FolderSamples(
            dataset: Self.dataset, annotations: "gt.json", folder: folder.path,
            options: .init(seed: 1, decoding: DecodingOptions(maximumPixels: 399)))
        let path = "\(folder.path)/deep/c.png"
        expectError(
            .unreadableImage(
                imageID: -3, ImageError(source: path, reason: .tooManyPixels(width: 40, height: 10, limit: 399))),
            code: "too_many_pixels", mentioning: [path]
        ) { try readAll(samples) }
    }
}
