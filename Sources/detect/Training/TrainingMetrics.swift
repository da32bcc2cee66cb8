// What a training reports while it runs: the lines of `metrics.jsonl`, written one at a time and read back for the chart.

import COCO
import Checkpoint

/// The means over the training steps since the line before.
struct StepMetrics: Sendable, Equatable {
    /// One of the loss's parts, such as `loss_giou_0`.
    struct Term: Sendable, Equatable {
        let name: String
        let value: Double
    }

    /// How many steps have been done, these among them.
    var step: Int
    /// How many epochs have been done, with the share of the one that runs.
    var epoch: Double
    /// The weighted sum of the terms.
    var loss: Double
    /// Not weighted, each name once.
    var terms: [Term]
    /// Of the last step, for the transformer's parameters.
    var learningRate: Double
    /// The Euclidean norm over all parameters, before clipping.
    var gradientNorm: Double
    var imagesPerSecond: Double
    /// Since the training began, without the time between its interruptions and resumptions.
    var seconds: Double

    /// The value of a term; nil if there is none of this name.
    func term(_ name: String) -> Double? { terms.first { $0.name == name }?.value }
}

/// What an evaluation during the training found.
struct ValidationMetrics: Sendable, Equatable {
    /// How well one class is found; -1 for one without objects.
    struct ClassScore: Sendable, Equatable {
        var name: String
        var objects: Int
        var averagePrecision: Double
        var averagePrecision50: Double
    }

    /// How many steps had been done.
    var step: Int
    /// How many epochs had been done.
    var epoch: Double
    /// COCO's twelve numbers in pycocotools' order, 0...1, or -1 where there are no objects.
    var statistics: [Double]
    var classes: [ClassScore]
    /// How long it took.
    var seconds: Double
    /// Whether it was the best so far.
    var isBest: Bool

    /// - Precondition: twelve statistics.
    init(
        step: Int, epoch: Double, statistics: [Double], classes: [ClassScore], seconds: Double, isBest: Bool
    ) {
        precondition(statistics.count == Self.statisticCount, "\(statistics.count) statistics for COCO's twelve")
        self.step = step
        self.epoch = epoch
        self.statistics = statistics
        self.classes = classes
        self.seconds = seconds
        self.isBest = isBest
    }

    init(step: Int, epoch: Double, evaluation: BoxEvaluation, seconds: Double, isBest: Bool) {
        let classes = evaluation.categoryScores.map { score in
            ClassScore(
                name: score.category.name, objects: score.objectCount, averagePrecision: score.averagePrecision,
                averagePrecision50: score.averagePrecision50)
        }
        self.init(
            step: step, epoch: epoch, statistics: evaluation.statistics, classes: classes, seconds: seconds,
            isBest: isBest)
    }

    static let statisticCount = 12

    /// The mean over the IoU thresholds 0.50, 0.55, ... 0.95.
    var averagePrecision: Double { statistics[0] }
    var averagePrecision50: Double { statistics[1] }
    var averagePrecision75: Double { statistics[2] }
}

/// All that a training has reported, in its order.
struct TrainingMetrics: Sendable, Equatable {
    var steps: [StepMetrics] = []
    var validations: [ValidationMetrics] = []

    /// The validation that was the best so far when no later one was; nil before the first.
    var best: ValidationMetrics? { validations.last { $0.isBest } }
}

// MARK: - As text

extension StepMetrics {
    /// One line. A number that is not finite, as in a training that fails, is `null`.
    var json: String {
        JSONText.object([
            ("event", "\"step\""), ("step", "\(step)"), ("epoch", JSONText.number(epoch)),
            ("loss", JSONText.number(loss)),
            ("terms", JSONText.object(terms.map { ($0.name, JSONText.number($0.value)) })),
            ("learning_rate", JSONText.number(learningRate)), ("gradient_norm", JSONText.number(gradientNorm)),
            ("images_per_second", JSONText.number(imagesPerSecond)), ("seconds", JSONText.number(seconds)),
        ]) + "\n"
    }
}

extension ValidationMetrics {
    /// One line.
    var json: String {
        JSONText.object([
            ("event", "\"validation\""), ("step", "\(step)"), ("epoch", JSONText.number(epoch)),
            ("stats", JSONText.array(statistics.map(JSONText.number))), ("ap", JSONText.number(averagePrecision)),
            ("ap50", JSONText.number(averagePrecision50)),
            (
                "per_class",
                JSONText.array(
                    classes.map { score in
                        JSONText.object([
                            ("name", JSONValue.quoted(score.name)), ("objects", "\(score.objects)"),
                            ("ap", JSONText.number(score.averagePrecision)),
                            ("ap50", JSONText.number(score.averagePrecision50)),
                        ])
                    })
            ), ("seconds", JSONText.number(seconds)), ("is_best", "\(isBest)"),
        ]) + "\n"
    }
}

extension JSONText {
    /// The shortest text that reads back as the same number, without a fraction of 0; `null` for what is not finite.
    fileprivate static func number(_ value: Double) -> String {
        guard value.isFinite else { return "null" }
        let text = "\(value)"
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }
}
