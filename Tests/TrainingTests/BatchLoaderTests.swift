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
        let sampleCount = 12
        let readable: Set<Int>
        func sample(epoch: Int, position: Int) throws -> LabelledImage {
            guard readable.contains(position) else { throw Problem() }
            return try SmallModel.Samples().sample(epoch: epoch, position: position)
        }
    }

    /// The pixels of a step's images, and of samples of the first epoch.
    private static func pixels(_ step: BatchLoader.Step) -> [[Float]]? {
        step.batch?.parts.map { $0.images.pixels.values.elements }
    }

    private static func pixels(_ positions: [Int]) throws -> [[Float]] {
        let samples = try positions.map { try SmallModel.Samples().sample(epoch: 0, position: $0) }
        return TrainingBatch(samples, isJoined: false).parts.map { $0.images.pixels.values.elements }
    }

    @Test func problemsComeWithTheBatch() throws {
        let step = try #require(Self.loader(Broken(readable: [1]), threads: 2).next())
        #expect(try Self.pixels(step) == Self.pixels([1]))
        #expect(step.problems.count == 2)
    }

    /// Steps of three: 3, 4 and 5 are damaged, and the two after them.
    @Test func aStepWithoutSamplesTakesTheNext() throws {
        let source = Broken(readable: [1, 8, 9, 10, 11])
        let loader = Self.loader(source, threads: 1)
        let steps = try (0..<4).map { _ in try #require(loader.next()) }
        for (step, positions) in zip(steps, [[1], [8, 9, 10], [8], [9, 10, 11]]) {
            #expect(try Self.pixels(step) == Self.pixels(positions))
        }
        #expect(steps.map(\.problems.count) == [2, 5, 2, 0])
        let all = Self.take(12, from: Self.loader(source, threads: 1))
        #expect(all.count == 12)
        #expect(Self.take(12, from: Self.loader(source, threads: 3)) == all)
        #expect(Self.take(7, from: Self.loader(source, threads: 2, firstStep: 5)) == Array(all[5...]))
    }

    @Test func theNextSamplesBeginAnewAfterTheLast() throws {
        let step = try #require(Self.loader(Broken(readable: [0, 1]), threads: 1, firstStep: 3).next())
        #expect(try Self.pixels(step) == Self.pixels([0, 1]))
        #expect(step.problems.count == 10)
    }

    @Test func anEpochWithoutSamplesHasNoBatch() throws {
        let step = try #require(Self.loader(Broken(readable: []), threads: 1, firstStep: 2).next())
        #expect(step.batch == nil && step.problems.count == 12)
    }

    @Test func aCancelledLoaderGivesNothing() {
        let loader = Self.loader(threads: 2)
        loader.cancel()
        #expect(loader.next() == nil)
    }
}
