// Reading and writing of annotation files and results: what is accepted, what is refused, and how errors say where.

import Boxes
import COCO
import Foundation
import TestSupport
import Testing

@Suite struct ReadingTests {
    /// A file with one image, one category and the annotations given.
    private func dataset(
        _ annotations: String, images: String = "{\"id\":1,\"file_name\":\"a.jpg\",\"width\":40,\"height\":30}",
        categories: String = "{\"id\":2,\"name\":\"cat\"}"
    ) throws -> Dataset {
        try dataset(whole: "{\"images\":[\(images)],\"annotations\":[\(annotations)],\"categories\":[\(categories)]}")
    }

    private func dataset(whole text: String) throws -> Dataset {
        try Dataset(parsing: Array(text.utf8), origin: "gt.json")
    }

    private func results(_ text: String) throws -> [DetectionResult] {
        try dataset("").results(parsing: Array(text.utf8), origin: "dt.json")
    }

    @Test func everythingIsRead() throws {
        let found = try dataset(
            """
            {"segmentation": [[1.5, 2, 3e1, -4]], "bbox": [1, 2.5, 30.25, 1e1], "id": 7, "image_id": 1, "category_id": 2,
             "area": 12.5, "iscrowd": 1, "caption": "\\u00e9", "x": {"y": [null, true]}}
            """)
        #expect(found.images == [DatasetImage(id: 1, fileName: "a.jpg", width: 40, height: 30)])
        #expect(found.categories == [Category(id: 2, name: "cat")])
        let box = SizedBox(x: 1, y: 2.5, width: 30.25, height: 10)
        #expect(
            found.annotations == [Annotation(id: 7, imageID: 1, categoryID: 2, box: box, area: 12.5, isCrowd: true)])
    }

    @Test func aByteOrderMarkSaysNothing() throws {
        let text = #"{"images": [{"id": 1}], "categories": [], "annotations": []}"#
        #expect(try dataset(whole: "\u{FEFF}" + text) == dataset(whole: text))
        #expect(throws: COCOError.self) { try dataset(whole: text + "\u{FEFF}") }
    }

    @Test func missingAreaAndCrowd() throws {
        for extra in ["", ",\"area\":null,\"iscrowd\":null", ",\"iscrowd\":false"] {
            let found = try dataset("{\"bbox\":[1,2,3,4],\"id\":0,\"image_id\":1,\"category_id\":2\(extra)}")
            #expect(found.annotations.map(\.area) == [12])
            #expect(found.annotations.map(\.isCrowd) == [false])
        }
    }

    @Test func imagesAndCategoriesMayBeBare() throws {
        let found = try dataset(
            "{\"bbox\":[-5,-5,0,900],\"id\":0,\"image_id\":0.0,\"category_id\":-1}", images: "{\"id\":0}",
            categories: "{\"id\":-1},{\"id\":0,\"name\":null}")
        #expect(found.images == [DatasetImage(id: 0)])
        #expect(found.categories.map(\.name) == ["-1", "0"])
        #expect(found.annotations.map(\.box) == [SizedBox(x: -5, y: -5, width: 0, height: 900)])
    }

    @Test func emptyArrays() throws {
        #expect(try dataset("", images: "", categories: "") == Dataset())
        #expect(try results("[]").isEmpty)
    }

    @Test func repeatedAnnotationIDs() throws {
        let one = { (id: Int) in "{\"bbox\":[1,2,3,4],\"id\":\(id),\"image_id\":1,\"category_id\":2}" }
        #expect(try dataset([3, 5, 0, 5, 0, 5].map(one).joined(separator: ",")).repeatedAnnotationIDs == [5, 0])
        #expect(try dataset([1, 2].map(one).joined(separator: ",")).repeatedAnnotationIDs == [])
    }

    private static let fields = [
        "id": "7", "image_id": "1", "category_id": "2", "bbox": "[1,2,3,4]", "area": "5", "iscrowd": "0",
        "score": "0.5",
    ]

    /// An object with every field, of which one has another value; nil leaves it out.
    private func object(_ names: [String], _ field: String, _ value: String?) -> String {
        let members = names.compactMap { name -> String? in
            (name == field ? value : Self.fields[name]).map { "\"\(name)\":\($0)" }
        }
        return "{\(members.joined(separator: ","))}"
    }

    @Test(
        arguments: [
            ("id", nil, "annotations[1], id: expected an integer, found none"),
            ("id", "\"7\"", "annotations[1], id: expected an integer, found '7'"),
            ("id", "7.5", "annotations[1], id: expected an integer, found 7.5"),
            ("id", "99999999999999999999", "annotations[1], id: expected an integer, found 1e+20"),
            ("image_id", nil, "annotations[1] (id 7), image_id: expected an integer, found none"),
            ("image_id", "3", "annotations[1] (id 7), image_id: expected an id that images lists, found 3"),
            ("category_id", "0", "annotations[1] (id 7), category_id: expected an id that categories lists, found 0"),
            ("category_id", "null", "annotations[1] (id 7), category_id: expected an integer, found null"),
            ("bbox", nil, "annotations[1] (id 7), bbox: expected [x, y, width, height], found none"),
            ("bbox", "[]", "annotations[1] (id 7), bbox: expected four numbers [x, y, width, height]"),
            ("bbox", "[1,2,3]", "of at most 1000000000000.0, found 3"),
            (
                "bbox", "[1,2,3,\"4\"]",
                "bbox: expected four numbers [x, y, width, height] of at most 1000000000000.0, found '4'"
            ),
            ("bbox", "[1,2,3,1e13]", "found 10000000000000.0"), ("bbox", "[1,2,3,null]", "found null"),
            ("bbox", "\"1 2 3 4\"", "found '1 2 3 4'"),
            ("bbox", "[1,2,-3,4]", "width and height of 0 or more, found -3.0 x 4.0"),
            ("bbox", "[1,2,3,NaN]", "annotations[1] (id 7), byte"),
            ("bbox", "[1,2,3,1e999]", "a number within the range of Double"),
            ("area", "-1", "annotations[1] (id 7), area: expected a number from 0 to 1e+24, found -1.0"),
            ("area", "\"12\"", "annotations[1] (id 7), area: expected"),
            ("iscrowd", "2", "annotations[1] (id 7), iscrowd: expected 0 or 1, found 2.0"),
            ("iscrowd", "\"no\"", "annotations[1] (id 7), iscrowd: expected 0 or 1, found 'no'"),
            ("iscrowd", "0,\"area\":3", "annotations[1] (id 7), area: expected it once, found it twice"),
        ] as [(String, String?, String)])
    func wrongAnnotations(_ field: String, _ value: String?, _ message: String) throws {
        let names = ["id", "image_id", "category_id", "bbox", "area", "iscrowd"]
        // The id comes last, too: it is known all the same.
        for order in [names, names.reversed()] where order == names || !message.contains("byte") {
            let text = object(names, "", nil) + "," + object(order, field, value)
            do {
                _ = try dataset(text)
                Issue.record("\(text) was read")
            } catch let error as COCOError {
                #expect(error.description.hasPrefix("gt.json: "))
                #expect(error.description.contains(message), "\(error)")
            }
        }
    }

    @Test(
        arguments: [
            ("image_id", nil, "dt.json: results[1], image_id: expected an integer, found none"),
            (
                "image_id", "7",
                "dt.json: results[1], image_id: expected an image of the dataset that is evaluated on, found 7"
            ),
            ("category_id", "\"cat\"", "dt.json: results[1], category_id: expected an integer, found 'cat'"),
            ("bbox", "[1,2,3,4,5]", "dt.json: results[1], bbox: expected four numbers"),
            ("score", nil, "dt.json: results[1], score: expected a number, found none"),
            ("score", "\"0.5\"", "dt.json: results[1], score: expected a number, found '0.5'"),
            ("score", "NaN", "dt.json: results[1], byte"), ("score", "-Infinity", "dt.json: results[1], byte"),
            ("score", "[", "dt.json: results[1], byte"),
        ] as [(String, String?, String)])
    func wrongResults(_ field: String, _ value: String?, _ message: String) throws {
        let names = ["image_id", "category_id", "bbox", "score"]
        let text = "[" + object(names, "", nil) + "," + object(names, field, value) + "]"
        do {
            _ = try results(text)
            Issue.record("\(text) was read")
        } catch let error as COCOError {
            #expect(error.description.contains(message), "\(error)")
        }
    }

    /// Boxes of negative size come from rounding; they overlap nothing.
    @Test func resultsThatAreNoMistake() throws {
        let found = try results(
            """
            [{"image_id":1,"category_id":77,"bbox":[1,2,-3,4],"score":-0.5,"segmentation":{"counts":"x","size":[1,2]}}]
            """)
        let box = SizedBox(x: 1, y: 2, width: -3, height: 4)
        #expect(found == [DetectionResult(imageID: 1, categoryID: 77, box: box, score: -0.5)])
    }

    @Test(
        arguments: [
            ("", "byte 0: expected a value, found the end"), ("{", "byte 1: expected a key in quotes, found the end"),
            (
                "[]",
                "the document: expected a dataset: an object with images, annotations and categories, found an array"
            ),
            ("{}", "images: expected a dataset"), ("null", "found null"),
            ("{\"images\":[],\"annotations\":[]}", "categories: expected a dataset"),
            ("{\"images\":{}}", "images: expected an array of objects, found an object"),
            ("{\"images\":[3]}", "images[0]: expected an object, found 3"),
            ("{\"images\":[],\"images\":[]}", "'images': expected it once, found it twice"),
            (
                "{\"images\":[{\"id\":1},{\"id\":1}],\"annotations\":[],\"categories\":[]}",
                "images[1]: expected an id of its own, found 1 again"
            ),
            (
                "{\"images\":[],\"annotations\":[],\"categories\":[{\"id\":1},{\"id\":1}]}",
                "categories[1]: expected an id of its own"
            ),
            (
                "{\"images\":[{\"id\":1,\"width\":0}]}",
                "images[0] (id 1), width: expected a number of pixels, 1 or more, found 0"
            ),
            ("{\"images\":[{\"id\":1,\"file_name\":3}]}", "images[0] (id 1), file_name: expected a string, found 3"),
            ("{\"images\":[],\"annotations\":[],\"categories\":[]} 1", "expected the end of the document"),
            ("{\"images\":[],}", "expected a key in quotes"),
            ("{\"images\":[{\"id\":1},]}", "expected a value, found ']'"),
            ("{\"info\":" + String(repeating: "[", count: 100), "expected nesting of at most 64"),
            ("{\"info\":\"\u{1}\"}", "no control character"),
            ("{\"images\":[{\"id\":1,\"file_name\":\"\\u001b[31m", "expected the closing quote"),
            ("{\"\\u001b[31m\":1,\"\\u001b[31m\":1}", "'?[31m': expected it once"),
        ])
    func wrongDocuments(_ text: String, _ message: String) throws {
        do {
            _ = try dataset(whole: text)
            Issue.record("\(text) was read")
        } catch let error as COCOError {
            #expect(error.description.contains(message), "\(error)")
        }
    }

    /// What would cost gigabytes or hours is refused or passed over at once.
    @Test(.timeLimit(.minutes(1))) func manyFieldsAndCategories() throws {
        let fields = (0..<200_000).map { "\"x\($0)\":0" }.joined(separator: ",")
        #expect(try dataset("", images: "{\(fields),\"id\":1}").images == [DatasetImage(id: 1)])
        let categories = (0..<20_000).map { "{\"id\":\($0)}" }.joined(separator: ",")
        do {
            _ = try dataset("", categories: categories)
            Issue.record("20,000 categories were read")
        } catch let error as COCOError {
            #expect(error.description == "gt.json: categories: expected at most 16384, found 20000")
        }
    }

    @Test func resultsInPlaceOfAnObject() throws {
        #expect(throws: COCOError.self) { try results("{\"annotations\":[]}") }
        #expect(throws: COCOError.self) { try results("") }
    }

    @Test func writtenFilesReadBack() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/gt.json"
        var random = SeededGenerator(seed: 3)
        let number = { (random: inout SeededGenerator) in Double.random(in: -1e3...1e3, using: &random) }
        let images = [
            DatasetImage(id: 0), DatasetImage(id: -4, fileName: "a \"b\"\n\u{7}é.jpg", width: 1, height: 2_147_483_647),
        ]
        let annotations = (0..<100).map { id in
            let box = SizedBox(
                x: number(&random), y: number(&random), width: abs(number(&random)), height: abs(number(&random)) * 1e-9
            )
            return Annotation(
                id: id, imageID: id % 2 * -4, categoryID: 5, box: box, area: id % 3 == 0 ? abs(number(&random)) : nil,
                isCrowd: id % 7 == 0)
        }
        let dataset = Dataset(images: images, annotations: annotations, categories: [Category(id: 5, name: "ü/\\")])
        try dataset.write(to: path)
        #expect(try Dataset(contentsOf: path) == dataset)
        try Dataset().write(to: path)
        #expect(try Dataset(contentsOf: path) == Dataset())
    }

    @Test func boxesAsCorners() {
        let box = SizedBox(CornerBox(xMin: 1.5, yMin: -2, xMax: 4, yMax: 8))
        #expect(box == SizedBox(x: 1.5, y: -2, width: 2.5, height: 10))
        #expect(CornerBox(box) == CornerBox(xMin: 1.5, yMin: -2, xMax: 4, yMax: 8))
    }

    /// Seeded damage: any outcome is right but a crash or a hang; what is read can be evaluated.
    @Test func damagedFilesNeverCrash() throws {
        let random = RandomDataset(seed: 12)
        let truth = Array(random.dataset.json.utf8)
        let found = Array(
            ("["
                + random.results.map { result in
                    let box = result.box
                    return "{\"image_id\":\(result.imageID),\"category_id\":\(result.categoryID),"
                        + "\"bbox\":[\(box.x),\(box.y),\(box.width),\(box.height)],\"score\":\(result.score)}"
                }.joined(separator: ",") + "]").utf8)
        #expect(
            try random.dataset.results(parsing: found, origin: "dt.json") == random.results,
            "the file must be good at first")
        var generator = SeededGenerator(seed: 1)
        var accepted = 0
        for _ in 0..<Mutation.rounds {
            do {
                let dataset = try Dataset(parsing: Mutation.damaged(truth, &generator), origin: "gt.json")
                let results = try dataset.results(parsing: Mutation.damaged(found, &generator), origin: "dt.json")
                #expect(
                    BoxEvaluation(of: results, against: dataset).statistics.allSatisfy { -1...1.000_000_1 ~= $0 })
                accepted += 1
            } catch let error as COCOError {
                #expect(!error.description.isEmpty)
            }
        }
        #expect(accepted < Mutation.rounds, "damage that nothing notices would mean that nothing is checked")
    }
}
