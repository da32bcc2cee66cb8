// The loop's body: a batch forward, its loss back, the parameters on.

import Backbone
@_exported import COCO
@_exported import Checkpoint
@_exported import DeformDETR
import Layers
import Tensors

/// A model that learns, with all that the next step depends on.
///
/// The same options, start and batches give the same weights, bit by bit, on the same machine with the same number of threads.
///
/// ```swift
/// import Training
///
/// // Any checkpoint, to learn the classes of another dataset.
/// let file = try ModelFile.open("w.bin")
/// let samples = try FolderSamples(
///     dataset: Dataset(contentsOf: "train.json"), annotations: "train.json", folder: "photos",
///     options: .init(seed: 1))
/// var configuration = file.configuration
/// configuration.classes = samples.classNames.count
/// let start = try InitialParameters(configuration, seed: 1, completing: file.source)
/// var trainer = Trainer(configuration, parameters: start.parameters)
///
/// let augmentation = Augmentation.published(shorterSide: 480, longestSide: 800)
/// let loader = BatchLoader(samples, options: .init(batchSize: 4, seed: 1)) { augmentation($0, seed: $1) }
/// while trainer.stepCount < 50 * loader.stepsPerEpoch, let batch = loader.next()?.batch {
///     print(try trainer.step(batch).loss)
/// }
/// try ModelFile.write(
///     trainer.averagedParameters, configuration: configuration, classNames: samples.classNames,
///     preprocessing: Preprocessing(shorterSide: 480, longestSide: 800), to: "mine.bin")
/// ```
public struct Trainer: Sendable {
    /// What stays the same for all steps.
    public struct Options: Sendable {
        /// What is made smaller.
        public var criterion: Criterion = .published
        /// Which parameters learn, and how fast.
        public var groups: ParameterGroups = .published()
        /// Decays, and the limit of the gradients' norm.
        public var optimizer = AdamW.Options()
        /// By what all learning rates are multiplied at each step; constant, unless set.
        public var schedule = LearningRateSchedule()
        /// Of the running mean of the weights, 0 ..< 1; nil for none.
        public var averageDecay: Double? = 0.9998
        /// The chances that elements are dropped, by place.
        public var dropout: TrainingOptions.DropoutRates = .published
        /// What the backbone's batch normalisation does. Learning ones (`.batch`) need joined batches, see ``TrainingBatch``,
        /// and groups that do not freeze them.
        public var normalization: Normalization = .frozen
        /// Of products and convolutions, float32 or bfloat16; weights, gradients and all else are float32.
        public var precision: ComputePrecision = .float32
        /// Decides which elements dropout drops.
        public var seed: UInt64 = 0

        /// The authors' choices, with frozen batch normalisation, in float32, at a constant learning rate.
        public init() {}
    }

    /// What a step has done.
    public struct StepReport: Sendable {
        /// The weighted sum of ``terms``, for the whole batch.
        public let loss: Double
        /// Not weighted, under the names that the authors' program logs, as ``Loss/namedTerms``.
        public let terms: [(name: String, value: Double)]
        /// The Euclidean norm of all learning parameters' gradients together, before it was limited.
        public let gradientNorm: Double
        /// By what the schedule multiplied the learning rates.
        public let learningRateFactor: Double
    }

    /// Of the model.
    public let configuration: Configuration
    /// As the training began, or went on, with.
    public let options: Options
    /// All of the model's tensors, frozen ones among them, by their official names.
    public private(set) var parameters: TensorDictionary
    /// With the gradients' running means.
    public private(set) var optimizer: AdamW
    /// The running mean of the weights; nil if the options ask for none.
    public private(set) var average: ExponentialMovingAverage?

    /// How many steps were taken.
    public var stepCount: Int { optimizer.stepCount }
    /// The weights to detect with: their running mean, or the last ones where the options ask for none.
    public var averagedParameters: TensorDictionary { average?.average ?? parameters }

    /// A training that begins.
    ///
    /// - Parameters:
    ///   - configuration: of the model.
    ///   - parameters: all of `configuration.tensors`; see ``InitialParameters``. What is missing or of another shape, the first
    ///     step throws.
    ///   - options: what stays the same for all steps.
    public init(_ configuration: Configuration, parameters: TensorDictionary, options: Options = Options()) {
        self.init(
            configuration, parameters: parameters, options: options,
            optimizer: AdamW(parameters: parameters, groups: options.groups, options: options.optimizer),
            average: options.averageDecay.map { ExponentialMovingAverage(parameters, decay: $0) })
    }

    init(
        _ configuration: Configuration, parameters: TensorDictionary, options: Options, optimizer: AdamW,
        average: ExponentialMovingAverage?
    ) {
        self.configuration = configuration
        self.parameters = parameters
        self.options = options
        self.optimizer = optimizer
        self.average = average
    }

    /// Learns from one batch.
    ///
    /// - Parameter batch: at least one image; joined, if batch normalisation learns.
    /// - Throws: ``TrainingError`` when something is not finite, `DetectorError` when an image is too small for a two-stage model's
    ///   queries, `MatchingError` for a class without a column, `CheckpointError` when the parameters are not the configuration's.
    ///   The parameters are unchanged then.
    public mutating func step(_ batch: TrainingBatch) throws -> StepReport {
        precondition(batch.imageCount > 0, "a step without images")
        // What several parts measure of batch normalisation cannot be joined.
        precondition(
            options.normalization == .frozen || batch.parts.count == 1,
            "batch normalisation that learns from \(batch.parts.count) parts")
        let number = stepCount
        let lesson = try lesson(of: batch, step: number)
        let factor = options.schedule.factor(at: number)
        let norm = try optimizer.update(&parameters, gradients: lesson.gradients, learningRateFactor: factor)
        for name in lesson.statistics.names { parameters[name] = lesson.statistics[name] }
        average?.update(parameters)
        return StepReport(loss: lesson.loss, terms: lesson.terms, gradientNorm: norm, learningRateFactor: factor)
    }

    /// Which parameters learn.
    private var isTrained: ParameterFilter { { [groups = options.groups] in groups.group(of: $0) != nil } }

    /// What a batch, or some of its parts, has to say about the parameters.
    private struct Lesson {
        var gradients: Gradients
        var statistics = BatchStatistics()
        var loss = 0.0
        var terms: [(name: String, value: Double)] = []

        mutating func add(_ loss: Double, _ terms: [(name: String, value: Double)]) {
            self.loss += loss
            self.terms = self.terms.isEmpty ? terms : zip(self.terms, terms).map { ($0.name, $0.value + $1.value) }
        }
    }

    /// Runs all parts forward and backward. The model is let go before the parameters change where they lie.
    ///
    /// Threads take parts of their own where there are enough: that needs no agreement between them, where products on all threads
    /// need one each. Which thread takes which part is fixed, and so is the order of sums.
    private func lesson(of batch: TrainingBatch, step: Int) throws -> Lesson {
        let model = try DeformableDETR(
            WeightCursor(parameters, allowsNonfinite: true), configuration: configuration,
            normalization: options.normalization, precision: options.precision)
        let empty = Lesson(gradients: Gradients(wanting: isTrained))
        let workers = min(Parallel.threadCount, batch.parts.count)
        guard workers > 1 else {
            var lesson = empty
            for index in batch.parts.indices { try learn(from: batch, part: index, model, step, into: &lesson) }
            return lesson
        }
        var results = [Result<Lesson, any Error>](repeating: .success(empty), count: workers)
        results.withUnsafeMutableBufferPointer { results in
            Parallel.forRanges(workers) { range in
                for worker in range {
                    results[worker] = Parallel.withThreadCount(1) {
                        Result {
                            var lesson = empty
                            for index in stride(from: worker, to: batch.parts.count, by: workers) {
                                try learn(from: batch, part: index, model, step, into: &lesson)
                            }
                            return lesson
                        }
                    }
                }
            }
        }
        var lesson = try results[0].get()
        for result in results.dropFirst() {
            let other = try result.get()
            lesson.gradients.add(other.gradients)
            lesson.add(other.loss, other.terms)
        }
        return lesson
    }

    private func learn(
        from batch: TrainingBatch, part index: Int, _ model: DeformableDETR, _ step: Int, into lesson: inout Lesson
    ) throws {
        let part = batch.parts[index]
        let training = TrainingOptions(
            dropout: options.dropout, seed: SeededGenerator.mixed(options.seed, step, index),
            training: isTrained)
        let (output, pullback) = try model.withPullback(part.images, options: training, updating: &lesson.statistics)
        let loss = try options.criterion(output, targets: part.targets, objectCount: batch.objectCount)
        pullback(loss.gradient, &lesson.gradients)
        lesson.add(loss.total, loss.namedTerms)
    }
}

extension SeededGenerator {
    /// A seed for each combination of numbers.
    static func mixed(_ seed: UInt64, _ numbers: Int...) -> UInt64 {
        numbers.reduce(mixed(seed)) { mixed($0 ^ mixed(UInt64(bitPattern: Int64($1)))) }
    }
}
