// From gradients to new weights.

import CKernels
import Checkpoint
import Foundation
import Layers
import Tensors

/// Adam with decoupled weight decay and a limit on the gradients' norm, over named float32 parameters.
///
/// With g the gradient, t the number of the step from 1, and b1, b2 the two decays:
/// `p -= rate * decay * p`; `m += (1 - b1) (g - m)`; `v = b2 v + (1 - b2) g^2`;
/// `p -= rate / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + epsilon)`.
///
/// - Source: "Decoupled Weight Decay Regularization" (arXiv 1711.05101); `torch.optim.AdamW`, whose order of operations this
///   is, and `torch.nn.utils.clip_grad_norm_`.
public struct AdamW: Sendable {
    /// What is the same for all parameters.
    public struct Options: Sendable, Hashable {
        /// Decay of the gradients' running mean (b1).
        public var firstDecay = 0.9
        /// Decay of the squared gradients' running mean (b2).
        public var secondDecay = 0.999
        /// Added to the denominator.
        public var epsilon = 1e-8
        /// Longer gradients, all parameters' together, are shortened to this Euclidean norm; nil for no limit. The authors': 0.1.
        public var maximumNorm: Double? = 0.1

        public init() {}
    }

    public let groups: ParameterGroups
    public let options: Options
    /// How many steps were taken.
    public private(set) var stepCount = 0
    /// The parameters that are not frozen, in the model's order.
    public let names: [String]
    /// Running means of the gradients and of their squares, as ``names``.
    private var firstMoments: [Tensor]
    private var secondMoments: [Tensor]

    /// A fresh optimiser.
    ///
    /// - Parameter parameters: all of the model's; only names and shapes are looked at.
    public init(parameters: some TensorSource, groups: ParameterGroups = .published(), options: Options = Options()) {
        self.groups = groups
        self.options = options
        names = parameters.names.filter { groups.group(of: $0) != nil }
        firstMoments = names.map { Tensor(parameters.shape(of: $0) ?? []) }
        secondMoments = firstMoments
    }

    // MARK: - A step

    /// Changes the parameters where they lie, and returns the gradients' norm before it was limited.
    ///
    /// A parameter without a gradient stays as it is, as in PyTorch; gradients of frozen parameters are not used and count
    /// nothing in the norm. The result is the same for any number of threads. Parameters whose memory somebody else shares (the
    /// step's model) are copied first: let go of the model before.
    ///
    /// - Parameters:
    ///   - parameters: those that the optimiser was made for, frozen ones among them.
    ///   - gradients: shaped as the parameters.
    ///   - learningRateFactor: the schedule's, for this step.
    /// - Throws: ``TrainingError/nonfiniteGradient(parameter:element:)``, with nothing changed.
    @discardableResult
    public mutating func update(
        _ parameters: inout TensorDictionary, gradients: Gradients, learningRateFactor: Double = 1
    ) throws(TrainingError) -> Double {
        let norm = try gradientNorm(gradients)
        // clip_grad_norm_ adds 1e-6 lest it divides by 0.
        let scale = options.maximumNorm.map { min(1, $0 / (norm + 1e-6)) } ?? 1
        stepCount += 1
        for (index, name) in names.enumerated() {
            guard let gradient = gradients[name], let group = groups.group(of: name) else { continue }
            let step = step(group, learningRateFactor: learningRateFactor, gradientScale: scale)
            Self.apply(step, gradient, to: &parameters, name, &firstMoments[index], &secondMoments[index])
        }
        return norm
    }

    /// The Euclidean norm of all learning parameters' gradients together, summed in Double.
    ///
    /// - Throws: ``TrainingError/nonfiniteGradient(parameter:element:)``.
    public func gradientNorm(_ gradients: Gradients) throws(TrainingError) -> Double {
        var sum = 0.0
        for name in names {
            guard let gradient = gradients[name] else { continue }
            let part = gradient.sumOfSquares
            guard part.isFinite else {
                throw .nonfiniteGradient(parameter: name, element: gradient.firstNonfiniteIndex ?? 0)
            }
            sum += part
        }
        return sum.squareRoot()
    }

    private func step(
        _ group: ParameterGroups.Group, learningRateFactor: Double, gradientScale: Double
    ) -> adamw_step {
        let rate = group.learningRate * learningRateFactor
        let count = Double(stepCount)
        return adamw_step(
            gradient_scale: Float(gradientScale), kept_share: Float(1 - rate * group.weightDecay),
            first_weight: Float(1 - options.firstDecay), second_decay: Float(options.secondDecay),
            second_weight: Float(1 - options.secondDecay),
            second_correction: Float((1 - pow(options.secondDecay, count)).squareRoot()),
            epsilon: Float(options.epsilon), step_size: Float(rate / (1 - pow(options.firstDecay, count))))
    }

    private static func apply(
        _ step: adamw_step, _ gradient: Tensor, to parameters: inout TensorDictionary, _ name: String,
        _ firstMoment: inout Tensor, _ secondMoment: inout Tensor
    ) {
        let shape = parameters.shape(of: name)
        precondition(
            shape == gradient.shape && shape == firstMoment.shape,
            "'\(name)': parameter \(shape.map(\.description) ?? "missing"), gradient \(gradient.shape), state \(firstMoment.shape)"
        )
        parameters.withMutableElements(of: name) { parameters in
            firstMoment.withMutableElements { first in
                secondMoment.withMutableElements { second in
                    gradient.withElements { gradient in
                        guard let parameters = parameters.baseAddress, let first = first.baseAddress,
                            let second = second.baseAddress, let slopes = gradient.baseAddress
                        else { return }
                        Parallel.forRanges(gradient.count, minimumPerThread: 1 << 14) { range in
                            let start = range.lowerBound
                            withUnsafePointer(to: step) { step in
                                adamw_update(
                                    Int64(range.count), step, slopes + start, parameters + start, first + start,
                                    second + start)
                            }
                        }
                    }
                }
            }
        }
    }

    // MARK: - State

    private static let stepName = "optimizer.step"
    private static let firstMomentPrefix = "optimizer.first_moment."
    private static let secondMomentPrefix = "optimizer.second_moment."

    /// All that a resumed training needs to go on bit by bit: `optimizer.first_moment.NAME` and `optimizer.second_moment.NAME`,
    /// shaped as the parameters, and `optimizer.step`, [3]: the number of steps in digits of base 2^20, the lowest first,
    /// because a float holds no large number exactly. Shares memory with the optimiser.
    public var state: TensorDictionary {
        let digits = (0..<3).map { Float(stepCount >> (20 * $0) & 0xFFFFF) }
        var state = TensorDictionary(origin: "optimizer", [Self.stepName: Tensor([3], digits)])
        for (index, name) in names.enumerated() {
            state[Self.firstMomentPrefix + name] = firstMoments[index]
            state[Self.secondMomentPrefix + name] = secondMoments[index]
        }
        return state
    }

    /// An optimiser that goes on where another one was.
    ///
    /// - Parameter state: what ``state`` of the other one was; other names in it are not looked at.
    /// - Throws: `CheckpointError` when a tensor is missing, has another shape or is not finite,
    ///   ``TrainingError/wrongState(name:expected:found:)`` for a number of steps that none can be.
    public init(
        parameters: some TensorSource, groups: ParameterGroups = .published(), options: Options = Options(),
        resuming state: some TensorSource
    ) throws {
        self.init(parameters: parameters, groups: groups, options: options)
        let cursor = WeightCursor(state)
        let digits = try cursor.tensor(Self.stepName, [3]).elements
        guard digits.allSatisfy({ $0 >= 0 && $0 < 0x1p20 && $0 == $0.rounded() }) else {
            throw TrainingError.wrongState(
                name: Self.stepName, expected: "three digits of base 2^20", found: "\(digits)")
        }
        stepCount = digits.reversed().reduce(0) { $0 << 20 + Int($1) }
        for (index, name) in names.enumerated() {
            let shape = firstMoments[index].shape
            firstMoments[index] = try cursor.tensor(Self.firstMomentPrefix + name, shape)
            secondMoments[index] = try cursor.tensor(Self.secondMomentPrefix + name, shape)
            if let negative = secondMoments[index].withElements({ $0.first { $0 < 0 } }) {
                throw TrainingError.wrongState(
                    name: Self.secondMomentPrefix + name, expected: "means of squares", found: "\(negative)")
            }
        }
    }
}

extension Tensor {
    /// The sum of the squares of all elements, in Double, the same for any number of threads; NaN or infinity if and only if
    /// an element is.
    var sumOfSquares: Double {
        let blockSize = 1 << 15
        let blocks = (count + blockSize - 1) / blockSize
        var sums = [Double](repeating: 0, count: blocks)
        withElements { elements in
            sums.withUnsafeMutableBufferPointer { sums in
                guard let start = elements.baseAddress else { return }
                Parallel.forRanges(blocks) { range in
                    for block in range {
                        let first = block * blockSize
                        sums[block] = optimizer_sum_of_squares(
                            Int64(min(blockSize, elements.count - first)), start + first)
                    }
                }
            }
        }
        return sums.reduce(0, +)
    }
}
