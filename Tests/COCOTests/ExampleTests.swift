// The example of README and of BoxEvaluation's page, as its readers would compile it.

import COCO
import Foundation
import Testing

private func example() throws {
    let dataset = try Dataset(contentsOf: "val.json")
    let evaluation = BoxEvaluation(of: try dataset.results(contentsOf: "results.json"), against: dataset)
    print(evaluation.summary)
}

@Suite struct ExampleTests {
    @Test(arguments: ["README.md", "Sources/COCO/BoxEvaluation.swift"])
    func theExampleCompiles(_ page: String) throws {
        let here = URL(fileURLWithPath: #filePath)
        let root = here.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let text = try String(contentsOf: root.appendingPathComponent(page), encoding: .utf8)
        let source = try String(contentsOf: here, encoding: .utf8)
        let body = try #require(source.components(separatedBy: "private func example() throws {\n").last)
        let lines = body.split(separator: "\n").prefix(3).map { $0.trimmingCharacters(in: .whitespaces) }
        #expect(lines.count == 3)
        for line in lines { #expect(text.contains(line), "\(page) lacks \(line)") }
        withExtendedLifetime(example) {}
    }
}
