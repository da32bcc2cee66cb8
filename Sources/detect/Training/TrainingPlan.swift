// The numbers of a training after validation.

import Backbone
import DeformDETR
import Tensors
import Training

/// How a training goes, apart from its data and its model.
struct TrainingPlan {
    let epochs: Int
    let batchSize: Int
    let seed: UInt64
    let threads: Int
    let validateEvery: Int
    let saveSeconds: Double
    private let course: TrainingCourseArguments
    private let augment: AugmentationChoice

    /// - Throws: ``UsageError`` for a number that cannot be meant.
    init(_ arguments: TrainCommand) throws {
        let course = arguments.course
        func number(_ value: Double, _ option: String, _ range: ClosedRange<Double>) throws {
            guard range ~= value else {
                throw UsageError("\(option): expected \(range.lowerBound) to \(range.upperBound), found \(value)")
            }
        }
        epochs = try PredictOptions.number(course.epochs, "--epochs", 1...1_000_000)
        batchSize = try PredictOptions.number(course.batchSize, "--batch-size", 1...1024)
        try course.warmup.map { _ = try PredictOptions.number($0, "--warmup", 0...1_000_000) }
        try number(course.learningRate, "--learning-rate", 0...1)
        try course.backboneLearningRate.map { try number($0, "--backbone-learning-rate", 0...1) }
        try number(course.weightDecay, "--weight-decay", 0...1)
        try number(course.clip, "--clip", 0...1e9)
        try number(course.fallAfter, "--fall-after", 0...1)
        try number(course.averageDecay, "--average-decay", 0...0.999999)
        try course.dropout.map { try number($0, "--dropout", 0...0.9) }
        threads =
            try course.threads.map { try PredictOptions.number($0, "--threads", 1...1024) } ?? Parallel.processorCount
        seed = course.seed
        validateEvery = try PredictOptions.number(arguments.result.validateEvery, "--validate-every", 1...1_000_000)
        try number(arguments.result.saveEvery, "--save-every", 0...100_000)
        saveSeconds = arguments.result.saveEvery * 60
        self.course = course
        augment = arguments.augmentation.augment
    }

    /// - Parameter startsFromNothing: whether the backbone has no trained weights.
    func trainerOptions(_ model: TrainingModelArguments, startsFromNothing: Bool, steps: Int) -> Trainer.Options {
        var options = Trainer.Options()
        let frozen = course.freeze ?? (startsFromNothing ? .none : .layer1)
        let normalization = model.batchNorm ?? (startsFromNothing ? .batch : .frozen)
        options.normalization = normalization.normalization
        options.groups = .published(
            learningRate: course.learningRate,
            backboneLearningRate: course.backboneLearningRate
                ?? course.learningRate * (startsFromNothing ? 1 : 0.1),
            weightDecay: course.weightDecay,
            frozen: frozen.nameParts + (normalization == .frozen ? ParameterGroups.backboneNormalization : []))
        options.precision = course.precision.precision
        options.optimizer.maximumNorm = course.clip > 0 ? course.clip : nil
        options.schedule = LearningRateSchedule(
            warmupSteps: course.warmup ?? min(200, steps / 10),
            decay: course.schedule.decay(start: Int(Double(steps) * course.fallAfter), end: steps))
        options.averageDecay = course.averageDecay > 0 ? course.averageDecay : nil
        if let dropout = course.dropout.map(Float.init) {
            options.dropout = .init(output: dropout, hidden: dropout, attentionWeights: dropout)
        }
        options.seed = seed
        return options
    }

    /// Why a training of so many steps learns little; nil when it does not.
    func warmupWarning(steps: Int) -> String? {
        guard let warmup = course.warmup, warmup >= steps else { return nil }
        return "the learning rate is whole after \(counted(warmup, "step")), and the training has"
            + " \(counted(steps, "step")): a smaller --warmup lets it learn more"
    }

    /// - Parameter sides: the sizes that the network sees.
    func augmentation(_ sides: Preprocessing) -> Augmentation {
        var augmentation = Augmentation.published(shorterSide: sides.shorterSide, longestSide: sides.longestSide)
        switch augment {
        case .none: return .resizing(sides)
        case .published: break
        case .turned:
            augmentation.verticalFlip = 0.5
            augmentation.quarterTurn = 0.5
            augmentation.colors = .photometric
        case .colors: augmentation.colors = .photometric
        }
        return augmentation
    }

    /// The rate of what is named nowhere, for people.
    var learningRate: Double { course.learningRate }
}
