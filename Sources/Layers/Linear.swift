import COneDNN
import Checkpoint
import Tensors

/// `y = x W^T + b`, with residual sum and ReLU fused into the product.
///
/// - Source: torch.nn.Linear.
public struct Linear: Sendable {
    public let inputWidth: Int
    public let outputWidth: Int
    private let weights: PackedWeights
    private let bias: Tensor?

    /// - Parameters:
    ///   - weight: `[output width, input width]`.
    ///   - bias: `[output width]`.
    public init(weight: Tensor, bias: Tensor?) {
        precondition(weight.shape.rank == 2, "weight \(weight.shape) of a linear layer")
        precondition(bias.map { $0.shape == [weight.shape[0]] } ?? true, "bias does not match weight \(weight.shape)")
        outputWidth = weight.shape[0]
        inputWidth = weight.shape[1]
        weights = PackedWeights(weight)
        self.bias = bias
    }

    /// Reads `weight` and `bias`.
    public init(_ cursor: WeightCursor, inputWidth: Int, outputWidth: Int) throws {
        self.init(
            weight: try cursor.tensor("weight", [outputWidth, inputWidth]),
            bias: try cursor.tensor("bias", [outputWidth]))
    }

    /// - Parameters:
    ///   - input: `[..., input width]`.
    ///   - residual: `[..., output width]`, added before the activation; its memory becomes the result's.
    /// - Returns: `[..., output width]`.
    public func callAsFunction(
        _ input: Tensor, activation: Activation = .none, addingTo residual: consuming Tensor? = nil
    ) -> Tensor {
        precondition(input.shape.last == inputWidth, "input \(input.shape), expected [..., \(inputWidth)]")
        let outputShape = Shape(input.shape.dimensions.dropLast() + [outputWidth])
        let epilogue = Epilogue(hasBias: bias != nil, addsResidual: residual != nil, activation: activation)
        var output = residual ?? Tensor(uninitialized: outputShape)
        precondition(output.shape == outputShape, "residual \(output.shape), expected \(outputShape)")

        let rows = input.count / inputWidth
        let key = PackedWeights.Key(extents: [rows], epilogue: epilogue)
        output.withMutableElements { output in
            guard let destination = output.baseAddress, !output.isEmpty else { return }
            weights.run(key, source: input, bias: bias, destination: destination) {
                var shape = onednn_product(
                    rows: Int64(rows), inner: Int64(inputWidth), columns: Int64(outputWidth),
                    epilogue: epilogue.bridged)
                return Operation("a product of \(input.shape) with [\(outputWidth), \(inputWidth)]") {
                    onednn_product_create(&shape, $0)
                }
            }
        }
        return output
    }
}
