import CKernels
import Checkpoint
import Tensors

/// A running mean of a model's weights, which usually detects better than the weights of any one step.
///
/// `average += (1 - d) (weights - average)` with `d = min(decay, (1 + t) / (10 + t))` at update t from 0: the first updates
/// count more, so that the mean soon forgets the initial weights.
///
/// - Source: `tf.train.ExponentialMovingAverage` with `num_updates`.
public struct ExponentialMovingAverage: Sendable {
    /// The largest share of itself that the mean keeps at an update.
    public let decay: Double
    /// The mean, by the parameters' names.
    public private(set) var average: TensorDictionary
    /// How many updates the mean has seen.
    public private(set) var updateCount: Int

    /// - Parameters:
    ///   - parameters: the first mean; resuming, the mean so far.
    ///   - decay: 0 ..< 1.
    ///   - updateCount: resuming, how many updates it has seen.
    public init(_ parameters: TensorDictionary, decay: Double = 0.9998, updateCount: Int = 0) {
        precondition((0..<1).contains(decay) && updateCount >= 0, "decay \(decay), \(updateCount) updates")
        self.decay = decay
        self.updateCount = updateCount
        average = parameters
    }

    /// Moves the mean towards the weights after a step. The result is the same for any number of threads.
    ///
    /// - Precondition: the names and shapes that the mean began with.
    public mutating func update(_ parameters: TensorDictionary) {
        let kept = min(decay, Double(1 + updateCount) / Double(10 + updateCount))
        updateCount += 1
        // The mean's pointers leave the closures that lend them, because one loop runs over all tensors; nothing else happens to
        // the mean meanwhile.
        var arrays: [(weights: Tensor, average: UnsafeMutablePointer<Float>)] = []
        for name in average.names {
            guard let weights = parameters[name], weights.shape == average.shape(of: name) else {
                preconditionFailure(
                    "'\(name)': mean \(average.shape(of: name)?.description ?? ""), weights"
                        + " \(parameters.shape(of: name)?.description ?? "missing")")
            }
            if weights.count > 0, let start = average.withMutableElements(of: name, { $0.baseAddress }) ?? nil {
                arrays.append((weights, start))
            }
        }
        withExtendedLifetime(average) {
            ArrayPieces(counts: arrays.map(\.weights.count)).forEach { _, piece in
                let (weights, average) = arrays[piece.array]
                let start = piece.range.lowerBound
                optimizer_move_average(
                    Int64(piece.range.count), Float(1 - kept), weights.pointer + start, average + start)
            }
        }
    }
}
