// Times and means between two lines of metrics.

import Dispatch
import Training

/// How long a training has run, without the time between its interruptions and resumptions.
struct TrainingClock {
    /// Seconds before this run.
    var earlier = 0.0
    private let start = DispatchTime.now()
    private var lastSave = DispatchTime.now()

    var seconds: Double { earlier + Self.seconds(since: start) }
    var secondsSinceSave: Double { Self.seconds(since: lastSave) }

    mutating func markSave() { lastSave = .now() }

    static func seconds(since start: DispatchTime) -> Double {
        Double(DispatchTime.now().uptimeNanoseconds - start.uptimeNanoseconds) / 1e9
    }
}

/// Means over the steps since the last line of metrics.
struct StepMeans {
    private var count = 0
    private var images = 0
    private var loss = 0.0
    private var gradientNorm = 0.0
    private var terms: [(name: String, value: Double)] = []
    private let start = DispatchTime.now()

    /// Steps in a line.
    private static let length = 20

    var isDue: Bool { count >= Self.length }

    mutating func add(_ report: Trainer.StepReport, images: Int) {
        count += 1
        self.images += images
        loss += report.loss
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
