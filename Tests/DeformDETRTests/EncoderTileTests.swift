// The encoder in tiles against the same layers on whole tensors, as training computes them.

import DeformDETR
import TestSupport
import Tensors
import Testing

@Suite struct EncoderTileTests {
    /// Images of several tiles, the last of them not full, where one image ends in the middle of a level's row; and padding.
    @Test(arguments: ["base-bottleneck", "refine", "padded-batch-two-stage", "single-scale-dc5"])
    func tilesGiveWhatWholeTensorsGive(name: String) throws {
        let sample = try ModelGradientTests.Case(name)
        var generator = SeededGenerator(seed: 7)
        let images = [(203, 264), (150, 301)].map { generator.tensor([1, $0, $1, 3]) }
        let whole = try #require(sample.pass(images).output.layers.last)
        let model = try sample.model()
        let tiled = try Parallel.withThreadCount(2) { try model(ImageBatch(images)) }
        #expect(relativeError(tiled.logits, whole.logits) < 1e-5)
        #expect(relativeError(tiled.boxes, whole.boxes) < 1e-5)

        for threads in [1, 3] {
            let other = try Parallel.withThreadCount(threads) { try model(ImageBatch(images)) }
            #expect(relativeError(other.logits, tiled.logits) < 1e-5)
        }
        let again = try Parallel.withThreadCount(2) { try model(ImageBatch(images)) }
        #expect(again.logits.elements == tiled.logits.elements)
        #expect(again.boxes.elements == tiled.boxes.elements)
    }
}
