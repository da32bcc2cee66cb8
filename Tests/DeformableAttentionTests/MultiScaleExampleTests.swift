// The examples of the modules' documentation, as their readers would compile them.
import DeformableAttention
import Foundation
import Testing

private func multiScale() throws -> Tensor {
    let levels = LevelLayout([ValidSize(height: 20, width: 30), ValidSize(height: 10, width: 15)])
    var generator = SystemRandomNumberGenerator()
    let parameters = try MultiScaleDeformableAttention.initialParameters(
        width: 64, heads: 8, levels: 2, points: 4, using: &generator)
    let attention = try MultiScaleDeformableAttention(
        WeightCursor(parameters), width: 64, heads: 8, levels: 2, points: 4)
    let output = attention(
        query: Tensor([1, 100, 64], repeating: 0.5), references: Tensor([1, 100, 2, 2], repeating: 0.5),
        source: FeatureSequence(values: Tensor([1, levels.count, 64], repeating: 1), layout: levels))
    return output
}

private func singleScale() throws -> Tensor {
    var generator = SystemRandomNumberGenerator()
    let parameters = try SingleScaleDeformableAttention.initialParameters(
        width: 64, heads: 8, points: 4, using: &generator)
    let attention = try SingleScaleDeformableAttention(WeightCursor(parameters), width: 64, heads: 8, points: 4)
    let output = attention(
        query: Tensor([1, 100, 64], repeating: 0.5), references: Tensor([1, 100, 2], repeating: 0.5),
        features: Tensor([1, 20, 30, 64], repeating: 1))
    return output
}

@Suite struct MultiScaleExampleTests {
    /// All samples of the middle of a constant map are alike, and so are all queries.
    @Test func examplesRun() throws {
        for output in [try multiScale(), try singleScale()] {
            #expect(output.shape == [1, 100, 64])
            let elements = output.elements
            #expect(elements.contains { $0 != 0 } && elements[64...] == elements[..<(99 * 64)])
        }
    }

    /// The documentation shows these lines and no others.
    @Test(arguments: ["MultiScaleDeformableAttention", "SingleScaleDeformableAttention"])
    func documentationShowsWhatCompilesHere(type: String) throws {
        let here = URL(fileURLWithPath: #filePath)
        let root = here.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let page = root.appendingPathComponent("Sources/DeformableAttention/MultiScale/\(type).swift")
        let documentation = try String(contentsOf: page, encoding: .utf8)
        let source = try String(contentsOf: here, encoding: .utf8)
        let block = try #require(documentation.components(separatedBy: "/// ```swift\n").dropFirst().first)
        let code = try #require(block.components(separatedBy: "/// ```").first)
        let lines = code.split(separator: "\n").map { "    " + $0.dropFirst(4) + "\n" }
        #expect(lines.count > 5 && source.contains(lines.joined()))
    }
}
