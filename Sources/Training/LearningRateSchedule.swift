import Foundation

/// By what the learning rates are multiplied at each step: a linear warm-up, then constant, in steps or along a cosine.
///
/// Steps count from 0. A function of the step alone, so that a training that is resumed needs no state of it.
public struct LearningRateSchedule: Sendable, Hashable {
    /// What comes after the warm-up.
    public enum Decay: Sendable, Hashable {
        /// 1 for ever.
        case constant
        /// Multiplied by `factor` at each of some steps; the authors: 0.1 after 40 of 50 epochs.
        case steps(at: [Int], factor: Double)
        /// 1 until step `start` (or the warm-up's end, if that is later), then down to `finalFactor` at step `end`, along half a period
        /// of a cosine; `finalFactor` from then on.
        case cosine(start: Int = 0, end: Int, finalFactor: Double)
    }

    /// Steps until the factor is 1; 0 for none.
    public var warmupSteps: Int
    /// The factor at step 0, if there is a warm-up; it rises to 1 in a line.
    public var warmupStart: Double
    /// What comes after the warm-up.
    public var decay: Decay

    /// Without arguments: 1 for ever.
    public init(warmupSteps: Int = 0, warmupStart: Double = 0.001, decay: Decay = .constant) {
        self.warmupSteps = warmupSteps
        self.warmupStart = warmupStart
        self.decay = decay
    }

    /// The factor of the step with this number, from 0.
    ///
    /// - Source: the closed forms of `LinearLR`, `MultiStepLR` and `CosineAnnealingLR` in `torch.optim.lr_scheduler`.
    public func factor(at step: Int) -> Double {
        precondition(step >= 0, "step \(step)")
        let warmup =
            step < warmupSteps ? warmupStart + (1 - warmupStart) * Double(step) / Double(warmupSteps) : 1
        switch decay {
        case .constant: return warmup
        case .steps(let steps, let factor): return warmup * pow(factor, Double(steps.count { $0 <= step }))
        case .cosine(let start, let end, let finalFactor):
            let start = max(start, warmupSteps)
            let progress = step >= end ? 1 : Double(max(0, step - start)) / Double(max(1, end - start))
            return warmup * (finalFactor + (1 - finalFactor) * (1 + cos(Double.pi * progress)) / 2)
        }
    }
}
