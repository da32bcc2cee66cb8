import Checkpoint
import Layers
import Tensors

/// A convolution with a kernel of one position, in groups: `y[g] = x[g] W[g]^T + b[g]` at every position, for channels g of G.
///
/// Groups are read and written in place, by strides. One group is an ordinary linear layer.
///
/// - Source: `torch.nn.Conv1d/2d/3d(kernel_size=1, groups=G)`.
struct GroupedProjection: Sendable {
    let inputWidth: Int
    let outputWidth: Int
    let groups: Int
    /// `[output width, input width / G]`, the groups' rows one after the other.
    private let weight: Tensor
    private let bias: Tensor?
    /// The place in the checkpoint, and the shape that the weight has there.
    private let path: String
    private let weightShape: Shape

    /// Reads `weight`, `[output width, input width / G, 1...]` with an extent of 1 for each axis of the map, and, unless
    /// there is none, `bias`.
    init(
        _ cursor: WeightCursor, inputWidth: Int, outputWidth: Int, groups: Int = 1, rank: Int, hasBias: Bool = false
    ) throws {
        precondition(
            inputWidth % groups == 0 && outputWidth % groups == 0,
            "\(inputWidth) and \(outputWidth) channels in \(groups) groups")
        self.inputWidth = inputWidth
        self.outputWidth = outputWidth
        self.groups = groups
        path = cursor.path
        weightShape = Shape([outputWidth, inputWidth / groups] + Array(repeating: 1, count: rank))
        weight = try cursor.tensor("weight", weightShape).reshaped([outputWidth, inputWidth / groups])
        bias = hasBias ? try cursor.tensor("bias", [outputWidth]) : nil
    }

    private var groupInput: Int { inputWidth / groups }
    private var groupOutput: Int { outputWidth / groups }

    /// Strides of activations whose rows hold the groups side by side.
    private func activationStrides(width: Int) -> Product.Strides { [0, Int64(width / groups), Int64(width), 1] }

    private var weightStrides: Product.Strides { [0, Int64(groupOutput * groupInput), Int64(groupInput), 1] }

    /// - Parameter input: `[N, S, input width]`.
    /// - Returns: `[N, S, output width]`.
    func callAsFunction(_ input: Tensor) -> Tensor {
        precondition(input.shape.last == inputWidth, "input \(input.shape), expected [..., \(inputWidth)]")
        let rows = input.count / inputWidth
        let shape = Shape(input.shape.dimensions.dropLast() + [outputWidth])
        var output = bias.map { $0.repeatingRows(rows).reshaped(shape) } ?? Tensor(uninitialized: shape)
        Product(
            batches: (1, groups), rows: rows, inner: groupInput, columns: groupOutput,
            leftStrides: activationStrides(width: inputWidth), rightStrides: weightStrides.transposed,
            resultStrides: activationStrides(width: outputWidth), accumulates: bias != nil
        ).run(left: input, right: weight, into: &output)
        return output
    }

    /// With `dy` the output's gradient: `dx[g] = dy[g] W[g]`, `dW[g] = dy[g]^T x[g]`, `db = sum of dy over the positions`.
    ///
    /// - Parameter input: as in ``callAsFunction(_:)``, with at least one position.
    func withPullback(_ input: Tensor) -> (output: Tensor, pullback: Pullback) {
        (
            self(input),
            { outputGradient, gradients in
                let rows = input.count / inputWidth
                let (left, right) = (activationStrides(width: outputWidth), activationStrides(width: inputWidth))
                var weightGradient = Tensor(uninitialized: weightShape)
                Product(
                    batches: (1, groups), rows: groupOutput, inner: rows, columns: groupInput,
                    leftStrides: left.transposed, rightStrides: right, resultStrides: weightStrides
                ).run(left: outputGradient, right: input, into: &weightGradient)
                gradients.add(weightGradient, to: path + ".weight")
                if bias != nil { gradients.add(outputGradient.columnSums(), to: path + ".bias") }

                var inputGradient = Tensor(uninitialized: input.shape)
                Product(
                    batches: (1, groups), rows: rows, inner: groupOutput, columns: groupInput,
                    leftStrides: left, rightStrides: weightStrides, resultStrides: right
                ).run(left: outputGradient, right: weight, into: &inputGradient)
                return inputGradient
            }
        )
    }
}

extension Product.Strides {
    /// The strides of each batch's transposed matrix.
    fileprivate var transposed: Self { [self[0], self[1], self[3], self[2]] }
}

extension Tensor {
    /// `[C]` as every row of `[rows, C]`.
    fileprivate func repeatingRows(_ rows: Int) -> Tensor {
        Tensor([rows, count]) { output in
            guard let target = output.baseAddress else { return }
            withExtendedLifetime(self) {
                Parallel.forRanges(rows, minimumPerThread: 256) { range in
                    for row in range { (target + row * count).update(from: pointer, count: count) }
                }
            }
        }
    }
}
