// `detect eval`, with results from a file and with the fixtures' network. The numbers themselves are COCOTests' business.

import Foundation
import TestSupport
import Testing

@Suite struct EvalTests {
    private struct Report: Decodable {
        struct Class: Decodable {
            let category_id: Int
            let name: String
            let objects: Int
            let ap: Double
            let ap50: Double
            let ap75: Double
            let ar: Double
        }

        let stats: [Double]
        let per_class: [Class]
    }

    private func report(_ result: Command.Result) throws -> Report {
        #expect(result.lines.count == 1)
        return try JSONDecoder().decode(Report.self, from: Data(result.output.utf8))
    }

    /// The fixture's first two classes at other ids, and one that it does not know.
    private static let truth = """
        {"images": [{"id": 0, "file_name": "a.jpg", "width": 480, "height": 640}, {"id": 5, "file_name": "sub/b.png"}],
         "annotations": [
          {"id": 0, "image_id": 0, "category_id": 12, "bbox": [10, 20, 100, 200]},
          {"id": 1, "image_id": 5, "category_id": 12, "bbox": [2, 3, 20, 10], "area": 150, "iscrowd": 0}],
         "categories": [{"id": 12, "name": "Card"}, {"id": 7, "name": "label"}\(extraCategory)]}
        """
    private static let extraCategory = ", {\"id\": 9, \"name\": \"door\"}"

    private func folder(_ truth: String = truth) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        try folder.add(Array(truth.utf8), as: "gt.json")
        try folder.add(try Pictures.jpeg(), as: "images/a.jpg")
        try folder.add(Pictures.png(width: 60, height: 40), as: "images/sub/b.png")
        return folder
    }

    private let fromFile = ["eval", "--annotations", "gt.json", "--detections", "dt.json"]
    private let fromNetwork = ["eval", "--annotations", "gt.json", "--images", "images"] + Command.quick

    private static let found = """
        [{"image_id": 0, "category_id": 12, "bbox": [10, 20, 100, 200], "score": 0.5},
         {"image_id": 5, "category_id": 12, "bbox": [2, 3, 20, 10], "score": 0.25}]
        """

    @Test func results() throws {
        let folder = try folder()
        try folder.add(Array(Self.found.utf8), as: "dt.json")
        let result = try Command.run(fromFile, in: folder)
        #expect(result.status == 0)
        #expect(result.error.isEmpty)
        #expect(result.lines.count == 12 + 4)
        #expect(
            result.output.hasPrefix(
                " Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = 1.000\n"))
        #expect(
            result.output.hasSuffix(
                """

                 class  objects      AP    AP50    AP75      AR
                 label        0  -1.000  -1.000  -1.000  -1.000
                 door         0  -1.000  -1.000  -1.000  -1.000
                 Card         2   1.000   1.000   1.000   1.000

                """))

        let report = try report(try Command.run(fromFile + ["--json", "--threads", "1"], in: folder))
        for (found, expected) in zip(report.stats, [1.0, 1, 1, 1, -1, 1, 1, 1, 1, 1, -1, 1]) {
            #expect(abs(found - expected) < 1e-10)
        }
        #expect(report.stats.count == 12)
        #expect(report.per_class.map(\.category_id) == [7, 9, 12])
        #expect(report.per_class.map(\.name) == ["label", "door", "Card"])
        #expect(report.per_class.map(\.objects) == [0, 0, 2])
        #expect(report.per_class.map(\.ap).map { $0.rounded() } == [-1, -1, 1])
        #expect(report.per_class.map(\.ar) == [-1, -1, 1])
    }

    @Test func noResults() throws {
        let folder = try folder()
        try folder.add(Array("[]".utf8), as: "dt.json")
        let report = try report(try Command.run(fromFile + ["--json"], in: folder))
        #expect(report.stats == [0, 0, 0, 0, -1, 0, 0, 0, 0, 0, -1, 0])
    }

    @Test func foreignCategories() throws {
        let folder = try folder()
        let foreign = Self.found.replacingOccurrences(of: ": 12", with: ": 3")
        try folder.add(Array(foreign.utf8), as: "dt.json")
        let all = try Command.run(fromFile, in: folder)
        #expect(all.status == 2)
        #expect(all.error.contains("dt.json: expected results of categories that gt.json lists"), "\(all.error)")
        #expect(all.output.isEmpty)
        try folder.add(Array((foreign.dropLast() + "," + Self.found.dropFirst()).utf8), as: "dt.json")
        let some = try Command.run(fromFile, in: folder)
        #expect(some.status == 0)
        #expect(some.error.contains("warning: dt.json: 2 results do not count"), "\(some.error)")
    }

    @Test func repeatedAnnotationIDs() throws {
        let folder = try folder(Self.truth.replacingOccurrences(of: "\"id\": 1,", with: "\"id\": 0,"))
        try folder.add(Array(Self.found.utf8), as: "dt.json")
        let result = try Command.run(fromFile, in: folder)
        #expect(result.status == 0)
        #expect(result.error.contains("warning: gt.json: several annotations have the id 0"))
    }

    @Test(
        arguments: [
            ("", "dt.json: byte 0: expected a value"), ("{}", "dt.json: results: expected"),
            (
                "[{\"image_id\": 1, \"category_id\": 12, \"bbox\": [1,2,3,4], \"score\": 1}]",
                "dt.json: results[0], image_id"
            ),
            (
                "[{\"image_id\": 0, \"category_id\": 12, \"bbox\": [1,2,3,4], \"score\": NaN}]",
                "dt.json: results[0], byte"
            ),
        ])
    func brokenResults(_ text: String, _ message: String) throws {
        let folder = try folder()
        try folder.add(Array(text.utf8), as: "dt.json")
        let result = try Command.run(fromFile, in: folder)
        #expect(result.status == 2)
        #expect(result.error.contains(message), "\(result.error)")
        #expect(result.output.isEmpty)
    }

    @Test func missingFiles() throws {
        let folder = try folder()
        for missing in ["gt.json", "dt.json"] {
            let other = missing == "gt.json" ? "dt.json" : "gt.json"
            try folder.add(Array(Self.truth.utf8), as: other)
            try? FileManager.default.removeItem(atPath: "\(folder.path)/\(missing)")
            let result = try Command.run(fromFile, in: folder)
            #expect(result.status == 2)
            #expect(result.error.contains("\(missing): cannot open: No such file or directory"))
        }
    }

    // MARK: A network

    /// The same detections by way of the default command's `coco` output, whose ids are the network's columns.
    @Test func networkAndItsResultsAgree() throws {
        let truth = """
            {"images": [{"id": 1, "file_name": "1.jpg"}, {"id": 2, "file_name": "2.png"}], "annotations": [
              {"id": 1, "image_id": 1, "category_id": 0, "bbox": [100, 200, 300, 300]},
              {"id": 2, "image_id": 2, "category_id": 1, "bbox": [5, 5, 30, 30]}],
             "categories": [{"id": 0, "name": "card"}, {"id": 1, "name": "label"}, {"id": 2, "name": "coaster"}]}
            """
        let folder = try folder(truth)
        try folder.add(try Pictures.jpeg(), as: "images/1.jpg")
        try folder.add(Pictures.png(width: 60, height: 40), as: "images/2.png")
        let network = try Command.run(fromNetwork + ["--json"], in: folder)
        #expect(network.status == 0, "\(network.error)")
        #expect(network.error.contains("2 images; "))
        let predicted = try Command.run(
            ["images/1.jpg", "images/2.png", "-f", "coco", "--no-images", "--threshold", "0"] + Command.quick,
            in: folder)
        try folder.add(Array(predicted.output.utf8), as: "dt.json")
        let file = try Command.run(fromFile + ["--json"], in: folder)
        #expect(network.output == file.output)
        #expect(try report(network).stats.count == 12)
    }

    @Test func classesByName() throws {
        let result = try Command.run(fromNetwork + ["--json"], in: folder())
        #expect(result.status == 0)
        #expect(result.error.contains("has no class for 1 of 3 categories, which count as not found: 'door'"))
        #expect(try report(result).per_class.map(\.category_id) == [7, 9, 12])
    }

    @Test func classesByNumber() throws {
        let folder = try folder(
            Self.truth.replacingOccurrences(of: "Card", with: "x").replacingOccurrences(of: "label", with: "y")
                .replacingOccurrences(of: ": 12", with: ": 0"))
        let result = try Command.run(fromNetwork, in: folder)
        #expect(result.status == 0)
        #expect(result.error.contains("taking class n for category id n"), "\(result.error)")
    }

    @Test func noClassAtAll() throws {
        let folder = try folder(
            Self.truth.replacingOccurrences(of: "Card", with: "x").replacingOccurrences(of: "label", with: "y")
                .replacingOccurrences(of: ": 12", with: ": 12000").replacingOccurrences(of: ": 7", with: ": -7")
                .replacingOccurrences(of: Self.extraCategory, with: ""))
        let result = try Command.run(fromNetwork, in: folder)
        #expect(result.status == 2)
        #expect(
            result.error.contains("gt.json: categories: expected one with the name of a class of"), "\(result.error)")
        #expect(result.output.isEmpty)
    }

    /// Images that cannot be read, and names that lead elsewhere, are failures of these images; no file outside is opened.
    @Test func brokenImages() throws {
        let names = [
            "../a.jpg", "/etc/hostname", "sub", "none.jpg", "text.jpg", "", "a.jpg\\u0000.png", "sub/../a.jpg",
        ]
        let images = names.enumerated().map { ", {\"id\": \($0 + 10), \"file_name\": \"\($1)\"}" }.joined()
        let folder = try folder(
            Self.truth.replacingOccurrences(of: "\"sub/b.png\"}", with: "\"sub/b.png\"}\(images), {\"id\": 99}")
                .replacingOccurrences(of: "\"image_id\": 5", with: "\"image_id\": 13"))
        try folder.add(try Pictures.jpeg(), as: "a.jpg")
        try folder.add(Array("text".utf8), as: "images/text.jpg")
        let result = try Command.run(fromNetwork + ["--json"], in: folder)
        #expect(result.status == 1)
        for message in [
            "../a.jpg: expected a file_name inside the folder", "/etc/hostname: expected a file_name inside the folder",
            "sub/../a.jpg: expected a file_name inside", "images/sub: cannot read: Is a directory",
            "images/none.jpg: cannot open", "images/text.jpg: ", "image 15: expected a file_name, found none",
            "image 99: expected a file_name, found none", "9 images could not be evaluated: 1 object in them",
        ] {
            #expect(result.error.contains(message), "\(message) in \(result.error)")
        }
        #expect(try report(result).stats.count == 12)
    }

    @Test func noUsableImage() throws {
        let folder = try folder()
        try FileManager.default.removeItem(atPath: "\(folder.path)/images/a.jpg")
        try FileManager.default.removeItem(atPath: "\(folder.path)/images/sub/b.png")
        let result = try Command.run(fromNetwork, in: folder)
        #expect(result.status == 2)
        #expect(result.output.isEmpty)
        try FileManager.default.removeItem(atPath: "\(folder.path)/images")
        #expect(
            try Command.run(fromNetwork, in: folder).error.contains("images: cannot open: No such file or directory"))
        try folder.add([], as: "images")
        #expect(try Command.run(fromNetwork, in: folder).error.contains("images: expected the folder"))
        try folder.add(Array("{\"images\":[],\"annotations\":[],\"categories\":[]}".utf8), as: "gt.json")
        let empty = try Command.run(fromNetwork, in: folder)
        #expect(empty.status == 2)
        #expect(empty.error.contains("gt.json: images: expected at least one, found none"))
    }

    @Test func otherSizes() throws {
        let folder = try folder(Self.truth.replacingOccurrences(of: "480", with: "640"))
        let result = try Command.run(fromNetwork, in: folder)
        #expect(result.error.contains("a.jpg: 480x640, but the annotations are for 640x640"), "\(result.error)")
    }

    @Test(
        arguments: [
            ([], "expected --weights and --images, or --detections; found none"),
            (["--weights", "w.bin"], "--weights needs --images"), (["--images", "images"], "--images needs --weights"),
            (["--detections", "d", "--images", "images"], "--detections takes the place of --weights and --images"),
            (["--detections", "d", "--threads", "0"], "--threads: expected 1 to 1024"),
            (["--detections", "d", "-q", "-v"], "exclude each other"),
            (["--detections", "d", "--nms", "0.5"], "--nms is for --weights"),
            (["--detections", "d", "--size", "480"], "--size is for --weights"),
            (["--detections", "d", "--precision", "bf16"], "--precision is for --weights"),
            (["--weights", "w.bin", "--images", "i", "--size", "1"], "--size: expected 32 to 4096"),
            (["--weights", "w.bin", "--images", "i", "--nms", "nan"], "--nms: expected a number from 0 to 1"),
        ] as [([String], String)])
    func wrongCalls(_ arguments: [String], _ message: String) throws {
        let result = try Command.run(["eval", "--annotations", "gt.json"] + arguments, in: folder())
        #expect(result.status == 64)
        #expect(result.error.contains(message), "\(result.error)")
    }

    @Test func annotationsAreNeeded() throws {
        #expect(try Command.run(["eval", "--detections", "dt.json"], in: folder()).status == 64)
    }
}
