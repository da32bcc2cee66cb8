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
        /// Decay of the gradients' running mean (b1), 0 ..< 1.
        public var firstDecay = 0.9
        /// Decay of the squared gradients' running mean (b2), 0 ..< 1.
        public var secondDecay = 0.999
        /// Added to the denominator.
        public var epsilon = 1e-8
        /// Longer gradients, all parameters' together, are shortened to this Euclidean norm; nil for no limit. The authors': 0.1.
        public var maximumNorm: Double? = 0.1

        /// PyTorch's defaults, and the authors' limit.
        public init() {}
    }

    /// Which parameters learn, and how fast.
    public let groups: ParameterGroups
    /// What is the same for all parameters.
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
        var arrays: [Arrays] = []
        for (index, name) in names.enumerated() {
            guard let gradient = gradients[name], let group = groups.group(of: name), gradient.count > 0 else {
                continue
            }
            let step = step(group, learningRateFactor: learningRateFactor, gradientScale: scale)
            arrays.append(
                Arrays(step, gradient, &parameters, name, &firstMoments[index], &secondMoments[index]))
        }
        // Parameters and moments keep their memory for as long as nobody changes their number or shape.
        withExtendedLifetime((parameters, gradients)) {
            ArrayPieces(counts: arrays.map(\.gradient.count)).forEach { _, piece in
                let (arrays, start) = (arrays[piece.array], piece.range.lowerBound)
                withUnsafePointer(to: arrays.step) { step in
                    adamw_update(
                        Int64(piece.range.count), step, arrays.gradient.pointer + start, arrays.parameters + start,
                        arrays.firstMoments + start, arrays.secondMoments + start)
                }
            }
        }
        return norm
    }

    /// What one parameter's step reads and writes. The pointers leave the closures that lend them, because one loop runs over all
    /// parameters; whoever makes this keeps the tensors as they are meanwhile.
    private struct Arrays {
        let step: adamw_step
        let gradient: Tensor
        let parameters: UnsafeMutablePointer<Float>
        let firstMoments: UnsafeMutablePointer<Float>
        let secondMoments: UnsafeMutablePointer<Float>

        init(
            _ step: adamw_step, _ gradient: Tensor, _ parameters: inout TensorDictionary, _ name: String,
            _ firstMoment: inout Tensor, _ secondMoment: inout Tensor
        ) {
            let shape = parameters.shape(of: name)
            guard shape == gradient.shape, shape == firstMoment.shape,
                let parameter = parameters.withMutableElements(of: name, { $0.baseAddress }) ?? nil,
                let first = firstMoment.withMutableElements({ $0.baseAddress }),
                let second = secondMoment.withMutableElements({ $0.baseAddress })
            else {
                preconditionFailure(
                    "'\(name)': parameter \(shape.map(\.description) ?? "missing"), gradient \(gradient.shape), state"
                        + " \(firstMoment.shape)")
            }
            self.step = step
            self.gradient = gradient
            self.parameters = parameter
            firstMoments = first
            secondMoments = second
        }
    }

    /// The Euclidean norm of all learning parameters' gradients together, summed in Double.
    ///
    /// - Throws: ``TrainingError/nonfiniteGradient(parameter:element:)``.
    public func gradientNorm(_ gradients: Gradients) throws(TrainingError) -> Double {
        let present = names.compactMap { name in gradients[name].map { (name: name, gradient: $0) } }
        let pieces = ArrayPieces(counts: present.map(\.gradient.count))
        var sums = [Double](repeating: 0, count: pieces.pieces.count)
        sums.withUnsafeMutableBufferPointer { sums in
            pieces.forEach { index, piece in
                sums[index] = optimizer_sum_of_squares(
                    Int64(piece.range.count), present[piece.array].gradient.pointer + piece.range.lowerBound)
            }
        }
        // Squares of floats cannot overflow a Double, so that only such elements make such sums.
        if let index = sums.firstIndex(where: { !$0.isFinite }) {
            let (name, gradient) = present[pieces.pieces[index].array]
            throw .nonfiniteGradient(parameter: name, element: gradient.firstNonfiniteIndex ?? 0)
        }
        return sums.reduce(0, +).squareRoot()
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
