import CKernels
import Tensors

/// Sets a random share of a tensor's elements to 0 in training and divides the others by the share that stays.
///
/// Which elements is fixed by the seed, so that the backward draws the same ones again and nothing is stored. The gradient
/// of the input is dropped exactly like the input.
///
/// - Source: "Dropout: A Simple Way to Prevent Neural Networks from Overfitting" (Srivastava et al. 2014); torch.nn.Dropout.
public struct Dropout: Sendable, Hashable {
    /// Of an element to become 0, in 0..<1.
    public let probability: Float
    public let seed: UInt64

    /// - Precondition: `probability` lies in 0..<1.
    public init(probability: Float, seed: UInt64) {
        precondition((0..<1).contains(probability), "dropout probability \(probability), expected 0..<1")
        self.probability = probability
        self.seed = seed
    }
}

extension Tensor {
    /// What dropout leaves of these elements, plus `residual`; without dropout the sum alone.
    package consuming func droppingOut(_ dropout: Dropout?, addingTo residual: Tensor? = nil) -> Tensor {
        guard let dropout else {
            guard let residual else { return self }
            return adding(residual)
        }
        let (shape, count) = (shape, count)
        precondition(residual.map { $0.shape == shape } ?? true, "residual for \(shape) of another shape")
        return rewritten { source, target in
            withExtendedLifetime(residual) {
                Parallel.forRanges(count, minimumPerThread: 1 << 14) { range in
                    let start = range.lowerBound
                    rows_drop_out(
                        Int64(range.count), dropout.probability, dropout.seed, UInt64(start), source + start,
                        residual.map { $0.pointer + start }, target + start)
                }
            }
        }
    }
}
