// What the steps between two lines of metrics have in common.

import Dispatch
import Training

/// Means over the steps since the last line of metrics.
struct StepMeans {
    private var count = 0
    private var images = 0
    private var loss = 0.0
    private var gradientNorm = 0.0
    private var terms: [(name: String, value: Double)] = []
    /// Of the last step; nil before the first.
    private(set) var learningRateFactor: Double?
    private let start = DispatchTime.now()

    /// Steps in a line.
    private static let length = 20

    var isDue: Bool { count >= Self.length }

    mutating func add(_ report: Trainer.StepReport, images: Int) {
        count += 1
        self.images += images
        loss += report.loss
        learningRateFactor = report.learningRateFactor
        gradientNorm += report.gradientNorm
        terms = terms.isEmpty ? report.terms : zip(terms, report.terms).map { ($0.name, $0.value + $1.value) }
    }

    /// - Parameters:
    ///   - step: how many steps have been done.
    ///   - learningRate: of the last one.
    func metrics(step: Int, epoch: Double, learningRate: Double, seconds: Double) -> StepMetrics {
        let count = Double(max(1, count))
        return StepMetrics(
            step: step, epoch: epoch, loss: loss / count,
            terms: terms.map { StepMetrics.Term(name: $0.name, value: $0.value / count) },
            learningRate: learningRate, gradientNorm: gradientNorm / count,
            imagesPerSecond: Double(images) / max(1e-9, TrainingClock.seconds(since: start)), seconds: seconds)
    }
}
