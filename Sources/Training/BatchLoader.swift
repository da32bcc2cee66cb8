// Batches made ahead of the step that needs them, on threads of their own.

import Foundation
import Tensors

/// Reads, augments and joins samples for one step after another.
///
/// What a step gets depends on the seed and the step's number alone: not on the threads, and not on where a training was resumed.
public final class BatchLoader: @unchecked Sendable {
    // @unchecked: `condition` guards all that changes.

    /// What a step gets.
    public struct Step: Sendable {
        /// The step's samples without those that could not be read. If none could be, the next ones of the epoch that can be,
        /// beginning anew after its last; nil when the whole epoch has none.
        public let batch: TrainingBatch?
        /// Why samples are missing from the batch.
        public let problems: [any Error]
    }

    /// How samples become batches.
    public struct Options: Sendable {
        /// Images in a batch, at least 1; the last samples of an epoch that fill none are left out, unless there are no others.
        public var batchSize: Int
        /// Decides augmentations.
        public var seed: UInt64
        /// Whether all images of a batch pass the network together; see ``TrainingBatch``.
        public var joinsImages: Bool
        /// Threads that make batches, at least 1.
        public var threads: Int
        /// How many batches may be made or wait at once, at least 1; they lie in memory.
        public var lead: Int

        /// - Precondition: `batchSize`, `threads` and `lead` are positive.
        public init(batchSize: Int, seed: UInt64, joinsImages: Bool = false, threads: Int = 1, lead: Int = 3) {
            precondition(
                batchSize > 0 && threads > 0 && lead > 0, "\(batchSize) images, \(threads) threads, \(lead) ahead")
            self.batchSize = batchSize
            self.seed = seed
            self.joinsImages = joinsImages
            self.threads = threads
            self.lead = lead
        }
    }

    /// Takes a sample to the network's size, such as an ``Augmentation`` does; called on any thread. `seed` decides all that is
    /// random. A sample for which it throws is left out, like one that cannot be read.
    public typealias Augment = @Sendable (_ sample: LabelledImage, _ seed: UInt64) throws -> LabelledImage

    private let source: any SampleSource
    private let augment: Augment
    private let options: Options
    /// How many steps make an epoch, at least one.
    public let stepsPerEpoch: Int

    private let condition = NSCondition()
    private var ready: [Int: Step] = [:]
    /// The next step that a thread takes up, and the next that the training asks for.
    private var nextToMake: Int
    private var nextToTake: Int
    private var isCancelled = false

    /// Begins to make batches.
    ///
    /// - Parameters:
    ///   - source: of at least one sample.
    ///   - firstStep: the first step's number: not 0 in a training that is resumed.
    ///   - augment: takes each sample to the network's size.
    public init(_ source: any SampleSource, options: Options, firstStep: Int = 0, augment: @escaping Augment) {
        self.source = source
        self.augment = augment
        self.options = options
        stepsPerEpoch = Self.stepsPerEpoch(source, batchSize: options.batchSize)
        nextToMake = firstStep
        nextToTake = firstStep
        for number in 0..<options.threads {
            let thread = Thread { [weak self] in Self.work { self } }
            thread.name = "detect.batch.\(number)"
            thread.start()
        }
    }

    /// How many steps of `batchSize` images make an epoch, at least one.
    public static func stepsPerEpoch(_ source: any SampleSource, batchSize: Int) -> Int {
        max(1, source.sampleCount / batchSize)
    }

    deinit { cancel() }

    /// Ends the threads; the batches that wait are dropped.
    public func cancel() {
        condition.lock()
        isCancelled = true
        ready = [:]
        condition.broadcast()
        condition.unlock()
    }

    /// The next step's batch, waiting for it; nil after ``cancel()``.
    public func next() -> Step? {
        condition.lock()
        defer { condition.unlock() }
        while !isCancelled {
            if let step = ready.removeValue(forKey: nextToTake) {
                nextToTake += 1
                condition.broadcast()
                return step
            }
            condition.wait()
        }
        return nil
    }

    // MARK: - Threads

    /// A thread's life. It holds the loader only while it works, so that a loader that nobody uses any more ends its threads.
    private static func work(_ loader: () -> BatchLoader?) {
        while true {
            switch loader()?.takeUp() ?? .end {
            case .make(let number):
                // The pool of threads belongs to the network.
                let made = Parallel.withThreadCount(1) { loader()?.make(number) }
                guard let made, let loader = loader() else { return }
                loader.finish(number, made)
            case .wait: continue
            case .end: return
            }
        }
    }

    /// What a thread does next.
    private enum Work {
        /// The step of that number.
        case make(Int)
        /// Ask again: a moment passed without room for another batch.
        case wait
        /// Nobody wants batches any more.
        case end
    }

    /// Takes a step's number, or waits a moment for room.
    private func takeUp() -> Work {
        condition.lock()
        defer { condition.unlock() }
        if isCancelled { return .end }
        if nextToMake - nextToTake >= options.lead {
            _ = condition.wait(until: Date(timeIntervalSinceNow: 0.5))
            return .wait
        }
        defer { nextToMake += 1 }
        return .make(nextToMake)
    }

    private func finish(_ number: Int, _ step: Step) {
        condition.lock()
        if !isCancelled { ready[number] = step }
        condition.broadcast()
        condition.unlock()
    }

    private var isOver: Bool { condition.withLock { isCancelled } }

    private func make(_ step: Int) -> Step {
        let (epoch, stepInEpoch) = step.quotientAndRemainder(dividingBy: stepsPerEpoch)
        var samples: [LabelledImage] = []
        var problems: [any Error] = []
        func read(_ position: Int) {
            do {
                let sample = try source.sample(epoch: epoch, position: position)
                samples.append(try augment(sample, SeededGenerator.mixed(options.seed, epoch, position)))
            } catch {
                problems.append(error)
            }
        }
        let start = stepInEpoch * options.batchSize
        let count = min(options.batchSize, source.sampleCount - start)
        for position in start..<start + count { read(position) }
        if samples.isEmpty {
            // A training goes on past a stretch of damaged files, and in the same way when it is resumed there.
            var others = (count..<source.sampleCount).makeIterator()
            while samples.count < count, !isOver, let offset = others.next() {
                read((start + offset) % source.sampleCount)
            }
        }
        return Step(
            batch: samples.isEmpty ? nil : TrainingBatch(samples, isJoined: options.joinsImages), problems: problems)
    }
}
