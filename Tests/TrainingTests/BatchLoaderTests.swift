// Batches made ahead: what a step gets depends on the seed and its number alone.

import Foundation
import Tensors
import Testing
import Training

@Suite struct BatchLoaderTests {
    private static func loader(
        _ source: any SampleSource = SmallModel.Samples(), threads: Int, firstStep: Int = 0, seed: UInt64 = 1
    ) -> BatchLoader {
        BatchLoader(
            source, options: .init(batchSize: 3, seed: seed, threads: threads, lead: 2), firstStep: firstStep
        ) { sample, seed in
            // Something that depends on the seed.
            LabelledImage(image: sample.image, objects: Array(sample.objects.prefix(1 + Int(seed % 2))))
        }
    }

    private static func take(_ count: Int, from loader: BatchLoader) -> [[Float]] {
        (0..<count).compactMap { _ in
            loader.next()?.batch.map { batch in
                batch.parts.flatMap { $0.images.pixels.values.elements + [Float($0.targets[0].boxes.count)] }
            }
        }
    }

    @Test func threadsAndResumptionMakeNoDifference() {
        let all = Self.take(8, from: Self.loader(threads: 1))
        #expect(all.count == 8)
        #expect(Self.take(8, from: Self.loader(threads: 3)) == all)
        #expect(Self.take(3, from: Self.loader(threads: 2, firstStep: 5)) == Array(all[5...]))
        // Ten samples are three steps of three an epoch; the next epoch has others.
        #expect(all[0] != all[3])
    }

    @Test func aSmallSourceMakesSmallBatches() {
        let loader = Self.loader(SmallModel.Samples(sampleCount: 2), threads: 1)
        #expect(loader.stepsPerEpoch == 1)
        #expect(loader.next()?.batch?.imageCount == 2)
    }

    private struct Broken: SampleSource {
        struct Problem: Error {}
        let classNames = ["a"]
        let sampleCount = 6
        func sample(epoch: Int, position: Int) throws -> LabelledImage {
            guard position == 1 else { throw Problem() }
            return try SmallModel.Samples().sample(epoch: epoch, position: position)
        }
    }

    @Test func problemsComeWithTheBatch() throws {
        let loader = Self.loader(Broken(), threads: 2)
        let (first, second) = (try #require(loader.next()), try #require(loader.next()))
        #expect(first.batch?.imageCount == 1 && first.problems.count == 2)
        #expect(second.batch == nil && second.problems.count == 3)
    }

    @Test func aCancelledLoaderGivesNothing() {
        let loader = Self.loader(threads: 2)
        loader.cancel()
        #expect(loader.next() == nil)
    }
}
