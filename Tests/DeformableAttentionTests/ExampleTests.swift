// The examples of the modules' documentation and of README, as their readers would compile them.
import DeformableAttention
import Foundation
import Testing

private func multiScale() throws -> Tensor {
    let levels = try LevelLayout(levels: [ValidSize(height: 20, width: 30), ValidSize(height: 10, width: 15)])
    var generator = SystemRandomNumberGenerator()
    let parameters = try MultiScaleDeformableAttention.initialParameters(
        width: 64, heads: 8, levels: 2, points: 4, using: &generator)
    let attention = try MultiScaleDeformableAttention(
        WeightCursor(parameters), width: 64, heads: 8, levels: 2, points: 4)
    let output = try attention(
        query: Tensor([1, 100, 64], repeating: 0.5), references: Tensor([1, 100, 2, 2], repeating: 0.5),
        source: FeatureSequence(values: Tensor([1, levels.count, 64], repeating: 1), of: levels))
    return output
}

private func singleScale() throws -> Tensor {
    var generator = SystemRandomNumberGenerator()
    let parameters = try SingleScaleDeformableAttention.initialParameters(
        width: 64, heads: 8, points: 4, using: &generator)
    let attention = try SingleScaleDeformableAttention(WeightCursor(parameters), width: 64, heads: 8, points: 4)
    let output = try attention(
        query: Tensor([1, 100, 64], repeating: 0.5), references: Tensor([1, 100, 2], repeating: 0.5),
        features: Tensor([1, 20, 30, 64], repeating: 1))
    return output
}

private func grid() throws -> (Tensor, Tensor) {
    var configuration = DeformableMultiHeadAttention.Configuration(rank: 2, width: 64)
    configuration.heads = 4
    configuration.offsetGroups = 2
    var random = SystemRandomNumberGenerator()
    let parameters = try DeformableMultiHeadAttention.initialParameters(
        configuration: configuration, using: &random)
    let attention = try DeformableMultiHeadAttention(WeightCursor(parameters), configuration: configuration)
    // [1, 16, 24, 64] and [1, 2, 4, 6, 2]
    let (output, grid) = try attention.withSamplingGrid(Tensor([1, 16, 24, 64], repeating: 0.5))
    return (output, grid)
}

private func readme() throws -> (Tensor, Tensor, Gradients) {
    var random = SystemRandomNumberGenerator()
    var configuration = DeformableMultiHeadAttention.Configuration(rank: 2, width: 512)  // heads, groups, kernel, ...
    configuration.dropout = 0.1
    let parameters = try DeformableMultiHeadAttention.initialParameters(configuration: configuration, using: &random)
    let attention = try DeformableMultiHeadAttention(WeightCursor(parameters), configuration: configuration)

    let map = Tensor([1, 24, 32, 512], repeating: 0.5)  // N, H, W, C
    let output = try attention(map)

    let training = try attention.withPullback(map, dropoutSeed: 1)
    var gradients = Gradients()
    let inputGradient = training.pullback(output, &gradients)  // from the output's gradient
    for name in gradients.names { print(name, gradients[name]?.shape ?? []) }
    return (output, inputGradient, gradients)
}

@Suite struct ExampleTests {
    /// All samples of the middle of a constant map are alike, and so are all queries.
    @Test func multiScaleExamplesRun() throws {
        for output in [try multiScale(), try singleScale()] {
            #expect(output.shape == [1, 100, 64])
            let elements = output.elements
            #expect(elements.contains { $0 != 0 } && elements[64...] == elements[..<(99 * 64)])
        }
    }

    @Test func gridExamplesRun() throws {
        let (output, grid) = try grid()
        #expect(output.shape == [1, 16, 24, 64] && grid.shape == [1, 2, 4, 6, 2])
        let (mapped, inputGradient, gradients) = try readme()
        #expect(mapped.shape == [1, 24, 32, 512] && inputGradient.shape == mapped.shape)
        #expect(gradients.names.count == 14)
    }

    /// A page shows these lines and no others.
    @Test(arguments: [
        ("Sources/DeformableAttention/MultiScale/MultiScaleDeformableAttention.swift", "/// "),
        ("Sources/DeformableAttention/MultiScale/SingleScaleDeformableAttention.swift", "/// "),
        ("Sources/DeformableAttention/Grid/DeformableMultiHeadAttention.swift", "/// "), ("README.md", ""),
    ])
    func pagesShowWhatCompilesHere(page: String, margin: String) throws {
        let here = URL(fileURLWithPath: #filePath)
        let root = here.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let text = try String(contentsOf: root.appendingPathComponent(page), encoding: .utf8)
        let source = try String(contentsOf: here, encoding: .utf8)
        // README's first example is another library's.
        let blocks = text.components(separatedBy: margin + "```swift\n").dropFirst()
        let block = try #require(blocks.first { page != "README.md" || $0.hasPrefix("import DeformableAttention") })
        let code = try #require(block.components(separatedBy: margin + "```").first)
        func compact(_ lines: [Substring]) -> String { lines.joined(separator: "\n") + "\n" }
        let lines = code.split(separator: "\n").map { "    " + $0.dropFirst(margin.count) }
            .filter { $0 != "    import DeformableAttention" && !$0.allSatisfy(\.isWhitespace) }
        #expect(lines.count > 5)
        #expect(compact(source.split(separator: "\n")).contains(compact(lines.map { $0[...] })))
    }
}
