import Checkpoint
import Layers
import Tensors

/// The deformable attention of "Vision Transformer with Deformable Attention", over 1, 2 or 3 spatial axes.
public struct DeformableMultiHeadAttention: Sendable {
    public let configuration: Configuration
    /// Reads the package's state dict.
    public init(_ cursor: WeightCursor, configuration: Configuration) throws {
        try configuration.validate()
        self.configuration = configuration
    }
}
