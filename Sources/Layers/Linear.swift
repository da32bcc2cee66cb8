import COneDNN
import Checkpoint
import Tensors

/// `y = x W^T + b`, with residual sum and ReLU fused into the product.
///
/// - Source: torch.nn.Linear.
public struct Linear: Sendable {
    public let inputWidth: Int
    public let outputWidth: Int
    let weights: PackedWeights
    let bias: Tensor?
    let precision: ComputePrecision
    /// How the factors of its products lie in memory.
    package let input: Encoding
    let quantization: Quantization?
    /// Notes the range of the inputs; nil but in a calibration.
    let observer: ActivationObserver?
    /// Where the checkpoint has the layer's output rows: one place, or several stacked into one product.
    let sources: [Source]

    struct Source: Sendable {
        let weightName: String
        let biasName: String
        let rows: Range<Int>
    }

    /// A layer of no checkpoint, for inference.
    ///
    /// - Parameters:
    ///   - weight: `[output width, input width]`.
    ///   - bias: `[output width]`.
    public init(weight: Tensor, bias: Tensor?) {
        self.init(
            weight: StoredTensor(shape: weight.shape) { weight }, bias: bias, precision: .float32, input: .float32,
            observer: nil, sources: [])
    }

    /// Reads `weight` and `bias`.
    public init(
        _ cursor: WeightCursor, inputWidth: Int, outputWidth: Int, precision: ComputePrecision = .float32
    ) throws {
        try self.init(stacking: [(cursor, outputWidth)], inputWidth: inputWidth, precision: precision)
    }

    /// Several layers over one input as one product: their outputs side by side.
    ///
    /// - Parameter parts: where to read `weight` and `bias` of each, and its output width.
    public init(
        stacking parts: [(cursor: WeightCursor, outputWidth: Int)], inputWidth: Int,
        precision: ComputePrecision = .float32
    ) throws {
        precondition(!parts.isEmpty, "no layers to stack")
        let weights = try parts.map { try $0.cursor.stored("weight", [$0.outputWidth, inputWidth]) }
        let biases = try parts.map { try $0.cursor.tensor("bias", [$0.outputWidth]) }
        var start = 0
        let sources = parts.map { part in
            defer { start += part.outputWidth }
            return Source(
                weightName: part.cursor.name(of: "weight"), biasName: part.cursor.name(of: "bias"),
                rows: start..<start + part.outputWidth)
        }
        try self.init(
            weight: .stacking(weights),
            bias: biases.dropFirst().reduce(biases[0]) { .concatenating($0, $1) }, precision: precision,
            input: Encoding(ofInputOf: parts[0].cursor, precision: precision),
            observer: ActivationRanges.observer(ofInputOf: parts[0].cursor), sources: sources)
    }

    init(
        weight: StoredTensor, bias: Tensor?, precision: ComputePrecision, input: Encoding,
        observer: ActivationObserver? = nil, sources: [Source]
    ) {
        precondition(weight.shape.rank == 2, "weight \(weight.shape) of a linear layer")
        precondition(bias.map { $0.shape == [weight.shape[0]] } ?? true, "bias does not match weight \(weight.shape)")
        outputWidth = weight.shape[0]
        inputWidth = weight.shape[1]
        quantization = input.isWhole ? Quantization(weight: weight, bias: bias, input: input) : nil
        weights = PackedWeights(weight, precision: precision, quantization: quantization)
        self.bias = quantization.map(\.bias) ?? bias
        self.input = input
        self.observer = observer
        self.precision = precision
        self.sources = sources
    }

    /// - Parameters:
    ///   - input: `[..., input width]`.
    ///   - residual: `[..., output width]`, added before the activation; its memory becomes the result's.
    /// - Returns: `[..., output width]`.
    public func callAsFunction(
        _ input: Tensor, activation: Activation = .none, addingTo residual: consuming Tensor? = nil
    ) -> Tensor {
        self(factor(input), activation: activation, addingTo: residual)
    }

    /// The same for an input that is a factor already.
    package func callAsFunction(
        _ input: Factor, activation: Activation = .none, addingTo residual: consuming Tensor? = nil
    ) -> Tensor {
        self(input, result: .float32, activation: activation, addingTo: .floats(residual)).tensor
    }

    /// An input as the layer multiplies it.
    package func factor(_ input: consuming Tensor) -> Factor {
        Factor(input, precision: precision, encoding: self.input)
    }

    /// The same, with a result that lies in memory as the next product's factors do.
    ///
    /// - Parameter residual: as the result.
    package func callAsFunction(
        _ input: Factor, result: Encoding, activation: Activation = .none,
        addingTo residual: consuming Factor? = nil
    ) -> Factor {
        observer?.observe(input)
        precondition(input.shape.last == inputWidth, "input \(input.shape), expected [..., \(inputWidth)]")
        let outputShape = Shape(input.shape.dimensions.dropLast() + [outputWidth])
        let epilogue = Epilogue(hasBias: bias != nil, addsResidual: residual != nil, activation: activation)
        precondition(input.encoding == self.input, "input in \(input.encoding), expected \(self.input)")
        var output = residual ?? Factor(uninitialized: outputShape, encoding: result)
        precondition(
            output.shape == outputShape && output.encoding == result,
            "residual \(output.shape) in \(output.encoding), expected \(outputShape) in \(result)")
        guard output.count > 0 else { return output }

        let rows = input.count / inputWidth
        let key = PackedWeights.Key(extents: [rows], epilogue: epilogue, result: result)
        output.withMutableBytes { destination in
            weights.run(key, source: input, bias: bias, destination: destination) {
                compile(rows: rows, epilogue: epilogue, result: result)
            }
        }
        return output
    }

    func compile(rows: Int, epilogue: Epilogue, result: Encoding) -> Operation {
        epilogue.withBridged(scales: quantization?.scales(into: result), added: nil, result: result) {
            compile(rows: rows, epilogue: $0, result: result)
        }
    }

    private func compile(rows: Int, epilogue: onednn_epilogue, result: Encoding) -> Operation {
        var shape = onednn_product(
            rows: Int64(rows), inner: Int64(inputWidth), columns: Int64(outputWidth),
            types: onednn_types(factors: input.bridged, result: result.bridged), epilogue: epilogue)
        return Operation("a product of [\(rows), \(inputWidth)] with [\(outputWidth), \(inputWidth)]") {
            onednn_product_create(&shape, $0)
        }
    }
}
