import Layers
import Tensors

/// How a pass for training differs from one for inference.
public struct TrainingOptions: Sendable {
    /// The chance that an element is dropped, by place; each in 0..<1.
    public struct DropoutRates: Sendable, Hashable {
        /// What attention and feed-forward parts add to their input.
        public var output: Float
        /// What the ReLU of a feed-forward part gives.
        public var hidden: Float
        /// The weights of the decoder's self-attention.
        public var attentionWeights: Float

        public init(output: Float, hidden: Float, attentionWeights: Float) {
            self.output = output
            self.hidden = hidden
            self.attentionWeights = attentionWeights
        }

        public static let none = DropoutRates(output: 0, hidden: 0, attentionWeights: 0)

        /// The same rate everywhere, 0.1.
        ///
        /// - Source: `--dropout` in `main.py`, `models/deformable_transformer.py` of fundamentalvision/Deformable-DETR.
        /// (transformers' configuration has 0 for `hidden` and `attentionWeights`.)
        public static let published = DropoutRates(output: 0.1, hidden: 0.1, attentionWeights: 0.1)
    }

    public var dropout: DropoutRates
    /// Fixes which elements are dropped: another one for each step.
    public var seed: UInt64

    /// Which parameters train; ask ``Gradients`` for the same. Nothing is kept for a backward through layers of the backbone
    /// below the first of them.
    public var isTrained: ParameterFilter

    public init(
        dropout: DropoutRates = .published, seed: UInt64, training isTrained: @escaping ParameterFilter = { _ in true }
    ) {
        self.dropout = dropout
        self.seed = seed
        self.isTrained = isTrained
    }
}

/// Hands out the dropouts of one pass, each with a seed of its own, in the order in which layers ask.
struct DropoutStream {
    private let rates: TrainingOptions.DropoutRates
    private var seeds: SeededGenerator

    init(_ options: TrainingOptions) {
        rates = options.dropout
        seeds = SeededGenerator(seed: options.seed)
    }

    mutating func output() -> Dropout? { next(rates.output) }
    mutating func hidden() -> Dropout? { next(rates.hidden) }
    mutating func attentionWeights() -> Dropout? { next(rates.attentionWeights) }

    private mutating func next(_ probability: Float) -> Dropout? {
        let seed = seeds.next()
        return probability > 0 ? Dropout(probability: probability, seed: seed) : nil
    }
}
