// The example of README and of Trainer's page, as its readers would compile it.
import Foundation
import Testing
import Training

private func example() throws {
    // Any checkpoint, to learn the classes of another dataset.
    let file = try ModelFile.open("w.bin")
    let samples = try FolderSamples(
        dataset: Dataset(contentsOf: "train.json"), annotations: "train.json", folder: "photos",
        options: .init(seed: 1))
    var configuration = file.configuration
    configuration.classes = samples.classNames.count
    let start = try InitialParameters(configuration, seed: 1, completing: file.source)
    var trainer = Trainer(configuration, parameters: start.parameters)

    let augmentation = Augmentation.published(shorterSide: 480, longestSide: 800)
    let loader = BatchLoader(samples, options: .init(batchSize: 4, seed: 1)) { augmentation($0, seed: $1) }
    while trainer.stepCount < 50 * loader.stepsPerEpoch, let batch = loader.next()?.batch {
        print(try trainer.step(batch).loss)
    }
    try ModelFile.write(
        trainer.averagedParameters, configuration: configuration, classNames: samples.classNames,
        preprocessing: Preprocessing(shorterSide: 480, longestSide: 800), to: "mine.bin")
}

@Suite struct ExampleTests {
    /// A page shows these lines and no others.
    @Test(arguments: [("README.md", ""), ("Sources/Training/Trainer.swift", "/// ")])
    func pagesShowWhatCompilesHere(page: String, margin: String) throws {
        let here = URL(fileURLWithPath: #filePath)
        let root = here.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let text = try String(contentsOf: root.appendingPathComponent(page), encoding: .utf8)
        let source = try String(contentsOf: here, encoding: .utf8)
        let body = try #require(source.components(separatedBy: "private func example() throws {\n").last)
        let shown = try #require(text.components(separatedBy: "\(margin)```swift\n\(margin)import Training\n").last)
        func lines(_ text: String?, _ margin: String) throws -> [Substring] {
            try #require(text).split(separator: "\n").map { $0.dropFirst(margin.count) }
                .filter { !$0.allSatisfy(\.isWhitespace) }
        }
        let compiled = try lines(body.components(separatedBy: "\n}\n").first, "    ")
        #expect(compiled.count > 15)
        #expect(try lines(shown.components(separatedBy: "\(margin)```").first, margin) == compiled)
        withExtendedLifetime(example) {}
    }
}
