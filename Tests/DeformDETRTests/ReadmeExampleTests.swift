// README's example, as its reader would compile it.
import DeformDETR
import Foundation
import Testing

private func example() throws {
    let detector = try Detector(weights: "w.bin")
    let detections = try detector.detect(in: Image(contentsOf: "street.jpg"), threshold: 0.5)
    for detection in detections { print(detection.label, detection.score, detection.box) }
}

@Suite struct ReadmeExampleTests {
    /// README shows the lines of `example()` and nothing else.
    @Test func readmeShowsWhatCompilesHere() throws {
        let here = URL(fileURLWithPath: #filePath)
        let root = here.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let readme = try String(contentsOf: root.appendingPathComponent("README.md"), encoding: .utf8)
        let source = try String(contentsOf: here, encoding: .utf8)
        let block = try #require(readme.components(separatedBy: "```swift\n").dropFirst().first)
        let code = try #require(block.components(separatedBy: "```").first)
        let lines = code.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
        #expect(lines.count == 4 && lines.first == "import DeformDETR")
        for line in lines { #expect(source.contains(line)) }
        withExtendedLifetime(example) {}
    }

    /// The same lines on a tiny model that was fitted to a picture.
    @Test func detectsOnASample() throws {
        let root = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let fixtures = root.appendingPathComponent("Tests/Fixtures").path
        let detector = try Detector(weights: "\(fixtures)/model.safetensors")
        let detections = try detector.detect(in: Image(contentsOf: "\(fixtures)/table.jpg"), threshold: 0.5)
        #expect(detections.count == 5)
        #expect(detections.map(\.label).sorted() == ["card", "card", "coaster", "label", "label"])
        #expect(detections.allSatisfy { $0.score > 0.5 && $0.box.width > 10 && $0.box.height > 10 })
    }
}
