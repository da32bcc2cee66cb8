import Tensors

/// What one set of heads says about a batch, or a loss's gradient with respect to it.
public struct Predictions: Sendable {
    /// `[N, Q, classes]`
    public var logits: Tensor
    /// `[N, Q, 4]`, cxcywh in 0...1 of each image.
    public var boxes: Tensor

    public init(logits: Tensor, boxes: Tensor) {
        self.logits = logits
        self.boxes = boxes
    }
}

/// Everything that training compares with the truth, or the gradients with respect to it.
public struct TrainingOutput: Sendable {
    /// One a decoder layer, the last one last.
    public var layers: [Predictions]
    /// The encoder's proposals at all S locations (`[N, S, classes]`, `[N, S, 4]`), for two-stage models.
    public var proposals: Predictions?

    public init(layers: [Predictions], proposals: Predictions?) {
        self.layers = layers
        self.proposals = proposals
    }
}
