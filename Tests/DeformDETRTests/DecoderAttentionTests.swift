import DeformDETR
import Foundation
import TestSupport
import Tensors
import Testing

/// Where the last decoder layer looks: against transformers, and as the detector hands it out.
///
/// The golden tensors are those of `GoldenModelTests`, made by `tools/golden_model.py` (transformers 5.23.0, torch 2.15.0).
@Suite struct DecoderAttentionTests {
    private func expectGolden(
        _ golden: GoldenModelTests.Golden, _ batch: ImageBatch, line: SourceLocation = #_sourceLocation
    ) throws {
        let attention = try golden.model().withAttention(batch).attention
        let tensors = [
            "references": attention.references, "locations": attention.locations, "weights": attention.weights,
        ]
        for (name, tensor) in tensors {
            let expected = try golden.file.tensor("attention.\(name)")
            // What rounding leaves after all layers before; the padded batch's norms over two values enlarge it.
            #expect(relativeError(tensor, expected) < 1e-4, "\(name)", sourceLocation: line)
        }
    }

    @Test(arguments: GoldenModelTests.names) func agreesWithTransformers(name: String) throws {
        let golden = try GoldenModelTests.Golden(name)
        try expectGolden(golden, ImageBatch(golden.images()))
    }

    @Test(arguments: ["padded-batch", "padded-batch-two-stage"]) func paddedBatches(name: String) throws {
        let golden = try GoldenModelTests.Golden(name)
        let images = try golden.images()
        try expectGolden(golden, ImageBatch(images, paddingRule: .asInReference))
        // By default padding does not show.
        let model = try golden.model()
        let together = try model.withAttention(ImageBatch(images)).attention
        for (index, image) in images.enumerated() {
            let alone = try model.withAttention(ImageBatch([image])).attention
            #expect(relativeError(together.references.rows(index..<index + 1), alone.references) < 1e-4)
            #expect(relativeError(together.locations.rows(index..<index + 1), alone.locations) < 1e-4)
            #expect(relativeError(together.weights.rows(index..<index + 1), alone.weights) < 1e-4)
        }
    }

    @Test func askingChangesNoResult() throws {
        let golden = try GoldenModelTests.Golden("refine")
        let (model, batch) = (try golden.model(), try ImageBatch(golden.images()))
        let (asked, plain) = (try model.withAttention(batch).output, try model(batch))
        #expect(asked.logits.elements == plain.logits.elements && asked.boxes.elements == plain.boxes.elements)
    }

    @Test func levelsHeadsAndPixelsOfAQuery() throws {
        let golden = try GoldenModelTests.Golden("padded-batch-two-stage")
        let attention = try golden.model().withAttention(ImageBatch(golden.images())).attention
        let found = attention.detection(byQuery: 4, image: 1, width: 200, height: 50)
        // [N, Q, M, L, K]
        #expect(attention.weights.shape == [2, 6, 2, 4, 1])
        #expect(found.points.map(\.head) == [0, 0, 0, 0, 1, 1, 1, 1])
        #expect(found.points.map(\.level) == [0, 1, 2, 3, 0, 1, 2, 3])
        let row = 6 + 4
        #expect(found.points.map(\.weight) == Array(attention.weights.elements[row * 8..<(row + 1) * 8]))
        let places = attention.locations.elements[row * 16..<(row + 1) * 16]
        #expect(
            found.points.flatMap { [$0.position.x, $0.position.y] }
                == places.enumerated().map { $0 % 2 == 0 ? $1 * 200 : $1 * 50 })
        #expect(found.reference.x == attention.references.elements[row * 4] * 200)
        #expect(found.reference.y == attention.references.elements[row * 4 + 1] * 50)
    }

    // MARK: - The detector

    private let fixtures = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Tests/Fixtures").path

    /// Each detection comes with the attention of the query whose box it has.
    @Test func detectionsKeepTheirQueries() throws {
        let detector = try Detector(
            weights: "\(fixtures)/model.safetensors", preprocessing: Preprocessing(shorterSide: 128, longestSide: 256))
        let image = detector.prepare(try Image(contentsOf: "\(fixtures)/wide.jpg"))
        let (output, attention) = try detector.model.withAttention(ImageBatch([image.pixels]))
        // All (query, class) pairs.
        let found = try detector.detectWithAttention(in: image, threshold: 0, topK: .max)
        #expect(found.count == output.logits.count)
        #expect(found.map(\.detection) == (try detector.detect(in: image, threshold: 0, topK: .max)))
        let boxes = output.boxes.elements
        for query in 0..<output.boxes.shape[1] {
            let expected = attention.detection(byQuery: query, image: 0, width: 800, height: 450)
            let centerX = boxes[query * 4] * 800
            let own = found.filter { abs(($0.detection.box.xMin + $0.detection.box.xMax) / 2 - centerX) < 1e-2 }
            #expect(own.count >= detector.classNames.count)
            #expect(own.count { $0.attention == expected } == detector.classNames.count)
        }
    }

    @Test func classesAreChosenBeforeTheBestAreCounted() throws {
        let detector = try Detector(
            weights: "\(fixtures)/model.safetensors", preprocessing: Preprocessing(shorterSide: 128, longestSide: 256))
        let image = try Image(contentsOf: "\(fixtures)/table.jpg")
        let all = try detector.detect(in: image, threshold: 0.1, topK: .max)
        for chosen in [Set([2]), Set([0, 1]), Set<Int>(), Set([-1, 99])] {
            let expected = Array(all.filter { chosen.contains($0.classID) }.prefix(3))
            #expect(try detector.detect(in: image, threshold: 0.1, topK: 3, classes: chosen) == expected)
            let attended = try detector.detectWithAttention(in: image, threshold: 0.1, topK: 3, classes: chosen)
            #expect(attended.map(\.detection) == expected)
        }
    }
}
