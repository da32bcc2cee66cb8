// Every output format, read back; all of them must tell the same detections.

import Foundation
import TestSupport
import Testing

@Suite struct FormatTests {
    /// The form that the others are compared with: the JSON record, as any program would read it.
    private struct Record: Decodable, Equatable {
        struct Found: Decodable, Equatable {
            let class_id: Int
            let label: String
            let score: Float
            let box: [Float]
        }

        let path: String
        let status: String
        let width: Int?
        let height: Int?
        let detections: [Found]?
        let ms: [String: Double]?
        let error: [String: String]?
    }

    private let names = ["000000000042.jpg", "7.png", "bad.jpg"]

    /// Two photos, of which the random model says something, and a text; the last has a number only on request.
    private func folder(numbered: Bool = false) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        try folder.add(try Pictures.jpeg(), as: "in/\(names[0])")
        let square = Array(try Data(contentsOf: URL(fileURLWithPath: Command.fixture("square.png"))))
        try folder.add(square, as: "in/\(names[1])")
        try folder.add(Array("text".utf8), as: numbered ? "in/9.jpg" : "in/\(names[2])")
        return folder
    }

    private func run(_ format: String, _ folder: TemporaryFolder) throws -> Command.Result {
        let result = try Command.run(["in", "--threshold", "0.05", "--format", format] + Command.quick, in: folder)
        #expect(result.status == 1)
        #expect(result.error.contains("in/"))
        return result
    }

    private func records(_ folder: TemporaryFolder) throws -> [Record] {
        let result = try run("json", folder)
        return try JSONDecoder().decode([Record].self, from: Data(result.output.utf8))
    }

    @Test func json() throws {
        let records = try records(folder())
        #expect(records.map(\.path) == names.map { "in/\($0)" })
        #expect(records.map(\.status) == ["ok", "ok", "error"])
        #expect(records.map(\.width) == [480, 500, nil])
        #expect(records.map(\.height) == [640, 500, nil])
        #expect(records[2].error?["code"] == "unknown_image_format")
        #expect(records[2].error?["message"]?.isEmpty == false)
        for record in records[..<2] {
            let times = try #require(record.ms)
            #expect(times.keys.sorted() == ["decode", "network", "preprocess", "total"])
            let sum = ["decode", "network", "preprocess"].reduce(0) { $0 + (times[$1] ?? .nan) }
            // Four numbers, each rounded to a thousandth.
            #expect(abs(sum - (times["total"] ?? .nan)) < 0.003)
            let found = try #require(record.detections)
            #expect(!found.isEmpty)
            #expect(found.map(\.score) == found.map(\.score).sorted(by: >))
            #expect(found.allSatisfy { $0.score >= 0.05 && $0.score <= 1 && $0.box.count == 4 })
        }
    }

    @Test func jsonLinesAreTheSameRecords() throws {
        let folder = try folder()
        let expected = try records(folder)
        let lines = try run("jsonl", folder).lines
        let records = try lines.map { try JSONDecoder().decode(Record.self, from: Data($0.utf8)) }
        #expect(records.map(\.path) == expected.map(\.path))
        #expect(records.map(\.detections) == expected.map(\.detections))
        #expect(records.map(\.error) == expected.map(\.error))
    }

    @Test(arguments: [true, false])
    func coco(numbered: Bool) throws {
        struct Entry: Decodable {
            let image_id: Int
            let category_id: Int
            let bbox: [Float]
            let score: Float
        }
        let folder = try folder(numbered: numbered)
        // One image without a number changes all ids, and that is said; what is no image changes none.
        if !numbered { try folder.add(Pictures.png(width: 20, height: 16), as: "in/unnumbered.png") }
        let result = try run("coco", folder)
        #expect(result.error.contains("image_id counts the inputs from 1") == !numbered)
        let output = result.output
        let entries = try JSONDecoder().decode([Entry].self, from: Data(output.utf8))
        let ids = numbered ? [42, 7] : [1, 2, 3, 4]
        let expected = zip(ids, try records(folder)).flatMap { id, record in
            (record.detections ?? []).map { (id, $0) }
        }
        #expect(entries.count == expected.count)
        for (entry, (id, found)) in zip(entries, expected) {
            #expect(entry.image_id == id)
            #expect(entry.category_id == found.class_id)
            #expect(entry.score == found.score)
            let box = found.box
            #expect(entry.bbox == [box[0], box[1], box[2] - box[0], box[3] - box[1]])
        }
    }

    @Test func csv() throws {
        let folder = try folder()
        try FileManager.default.moveItem(
            atPath: "\(folder.path)/in/\(names[0])", toPath: "\(folder.path)/in/a \"b\", c.jpg")
        let rows = try run("csv", folder).lines
        #expect(rows[0] == "path,width,height,class_id,label,score,x_min,y_min,x_max,y_max")
        let expected = try records(folder).flatMap { record in
            (record.detections ?? []).map { found in
                let quoted = record.path.contains(",") ? "\"in/a \"\"b\"\", c.jpg\"" : record.path
                return "\(quoted),\(record.width ?? 0),\(record.height ?? 0),\(found.class_id),\(found.label),"
                    + "\(found.score)," + found.box.map { "\($0)" }.joined(separator: ",")
            }
        }
        #expect(Array(rows[1...]) == expected)
    }

    @Test func yolo() throws {
        let folder = try folder()
        _ = try run("yolo", folder)
        for record in try records(folder)[..<2] {
            let stem = try #require(record.path.split(separator: "/").last?.split(separator: ".").first)
            let lines = try folder.text("detections/labels/\(stem).txt").split(separator: "\n")
            let (width, height) = (Float(record.width ?? 0), Float(record.height ?? 0))
            let found = try #require(record.detections)
            #expect(lines.count == found.count)
            for (line, found) in zip(lines, found) {
                let fields = line.split(separator: " ").compactMap { Float($0) }
                try #require(fields.count == 6)
                #expect(Int(fields[0]) == found.class_id)
                #expect(fields[5] == found.score)
                #expect(fields[1...4].allSatisfy { 0...1 ~= $0 })
                let box = zip(found.box, [width, height, width, height]).map { min(max($0, 0), $1) }
                // Float rounding of a division and back, in pixels.
                #expect(abs((fields[1] - fields[3] / 2) * width - box[0]) < 1e-3)
                #expect(abs((fields[2] + fields[4] / 2) * height - box[3]) < 1e-3)
            }
        }
        #expect(!folder.files(in: "detections").contains("labels/bad.txt"))
    }

    @Test func voc() throws {
        let folder = try folder()
        try folder.add(Array("<&>\n\"b\"\n".utf8), as: "names.txt")
        let result = try Command.run(
            ["in", "--threshold", "0.05", "--format", "voc", "--names", "names.txt"] + Command.quick, in: folder)
        #expect(result.status == 1)
        for record in try records(folder)[..<2] {
            let stem = try #require(record.path.split(separator: "/").last?.split(separator: ".").first)
            let text = try folder.text("detections/annotations/\(stem).xml")
            let document = try XMLReader.read(text)
            let found = try #require(record.detections)
            #expect(document["name"]?.count == found.count)
            #expect(document["width"] == ["\(record.width ?? 0)"])
            for (key, limit) in [("xmin", record.width), ("xmax", record.width), ("ymin", record.height)] {
                let values = (document[key] ?? []).compactMap { Int($0) }
                #expect(values.count == found.count)
                #expect(values.allSatisfy { 1...(limit ?? 0) ~= $0 })
            }
            let labels = ["<&>", "\"b\""]
            let expected = found.map { labels.indices.contains($0.class_id) ? labels[$0.class_id] : nil }
            for (name, label) in zip(document["name"] ?? [], expected) where label != nil { #expect(name == label) }
        }
    }

    @Test func text() throws {
        let folder = try folder()
        let lines = try run("text", folder).lines
        let expected = try records(folder)[..<2].map { record in
            let groups = Dictionary(grouping: record.detections ?? [], by: \.class_id).sorted { $0.key < $1.key }
            let counts = groups.map { "\($0.value.count) \($0.value[0].label)" }.joined(separator: ", ")
            return "\(record.path): \(record.width ?? 0)x\(record.height ?? 0), \(counts) ("
        }
        #expect(lines.count == 2)
        for (line, beginning) in zip(lines, expected) {
            #expect(line.hasPrefix(beginning), "\(line)")
            #expect(line.hasSuffix(" ms)"))
        }
    }

    @Test func classesAreChosenBeforeTheTop() throws {
        let folder = try folder()
        let all = try records(folder)[0].detections ?? []
        let wanted = try #require(all.last?.class_id)
        let result = try Command.run(
            ["in/\(names[0])", "--threshold", "0.05", "--format", "jsonl", "--classes", "\(wanted)", "--top-k", "1"]
                + Command.quick, in: folder)
        let record = try JSONDecoder().decode(Record.self, from: Data(result.output.utf8))
        #expect(record.detections == all.first { $0.class_id == wanted }.map { [$0] })
    }
}

/// The texts of an XML document's elements, by the element's name.
private enum XMLReader {
    static func read(_ text: String) throws -> [String: [String]] {
        // Enough of XML for a document that has neither attributes nor comments; anything else fails the test.
        var result: [String: [String]] = [:]
        var open: [(name: String, text: String)] = []
        var rest = text[...]
        while let start = rest.firstIndex(of: "<") {
            if !open.isEmpty { open[open.count - 1].text += rest[..<start] }
            let end = try #require(rest[start...].firstIndex(of: ">"))
            let name = rest[rest.index(after: start)..<end]
            if name.hasPrefix("/") {
                let closed = try #require(open.last)
                open.removeLast()
                #expect(closed.name == name.dropFirst())
                result[closed.name, default: []].append(unescaped(closed.text))
            } else {
                open.append((String(name), ""))
            }
            rest = rest[rest.index(after: end)...]
        }
        #expect(open.isEmpty)
        return result
    }

    private static func unescaped(_ text: String) -> String {
        [("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")].reduce(text) { $0.replacingOccurrences(of: $1.0, with: $1.1) }
    }
}
