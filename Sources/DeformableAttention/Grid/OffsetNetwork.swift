import Checkpoint
import Foundation
import Layers
import Tensors

/// Says from the queries how far each sample moves from its place in the grid.
///
/// `offset = scale * tanh(W gelu(convolution(q)))` with the exact GELU, `gelu(x) = x (1 + erf(x / sqrt 2)) / 2`. All groups share
/// the network.
///
/// - Source: "Vision Transformer with Deformable Attention" (arXiv 2201.00520), section 3.2; `to_offsets` of
///   deformable-attention 0.0.20.
struct OffsetNetwork: Sendable {
    private let convolution: DepthwiseConvolution
    /// `[n, D]`
    private let weight: Tensor
    private let weightPath: String
    private let rank: Int
    /// The farthest that a sample moves, by component of a location.
    private let scale: [Float]

    /// Reads `0.weight`, `0.bias` and `2.weight`.
    ///
    /// - Parameter scale: by component of a location, in steps of the sampled grid.
    init(_ cursor: WeightCursor, configuration: DeformableMultiHeadAttention.Configuration, scale: [Float]) throws {
        let groupWidth = configuration.innerWidth / configuration.offsetGroups
        precondition(scale.count == configuration.rank, "\(scale.count) scales for \(configuration.rank) axes")
        rank = configuration.rank
        self.scale = scale
        convolution = try DepthwiseConvolution(
            cursor[0], groups: configuration.offsetGroups, groupWidth: groupWidth, kernel: configuration.offsetKernel,
            steps: configuration.downsampling)
        weightPath = cursor[2].path + ".weight"
        weight = try cursor[2].tensor("weight", Shape([rank, groupWidth] + Array(repeating: 1, count: rank)))
    }

    /// - Parameter queries: `[N, S, G * D]`, unscaled.
    /// - Returns: `[N, P, G, n]`, in steps of the sampled grid.
    func callAsFunction(_ queries: Tensor, layout: GridLayout) -> Tensor {
        var hidden = convolution(queries, layout: layout)
        hidden.replaceEach(Self.gelu)
        return scaled(boundedOffsets(hidden, layout: layout))
    }

    func withPullback(_ queries: Tensor, layout: GridLayout) -> (output: Tensor, pullback: Pullback) {
        let (convolved, convolutionPullback) = convolution.withPullback(queries, layout: layout)
        var hidden = convolved
        hidden.replaceEach(Self.gelu)
        let bounded = boundedOffsets(hidden, layout: layout)
        return (
            scaled(bounded),
            { [hidden] outputGradient, gradients in
                // tanh' = 1 - tanh^2
                var gradient = scaled(outputGradient)
                gradient.replaceEach(with: bounded) { $0 * (1 - $1 * $1) }

                let rows = gradient.count / rank
                var weightGradient = Tensor(uninitialized: weight.shape)
                Product.matrices(rows: rank, inner: rows, columns: convolution.groupWidth, transposingLeft: true)
                    .run(left: gradient, right: hidden, into: &weightGradient)
                gradients.add(weightGradient, to: weightPath)

                var hiddenGradient = Tensor(uninitialized: hidden.shape)
                Product.matrices(rows: rows, inner: rank, columns: convolution.groupWidth)
                    .run(left: gradient, right: weight, into: &hiddenGradient)
                hiddenGradient.replaceEach(with: convolved) { $0 * Self.geluSlope($1) }
                return convolutionPullback(hiddenGradient, &gradients)
            }
        )
    }

    /// The offsets before they are scaled, in -1...1: `[N, P, G, n]`.
    private func boundedOffsets(_ hidden: Tensor, layout: GridLayout) -> Tensor {
        let rows = hidden.count / convolution.groupWidth
        var offsets = Tensor(uninitialized: [layout.images, layout.samples, convolution.groups, rank])
        Product.matrices(rows: rows, inner: convolution.groupWidth, columns: rank, transposingRight: true)
            .run(left: hidden, right: weight, into: &offsets)
        offsets.replaceEach { tanh($0) }
        return offsets
    }

    /// Every component times its scale.
    private func scaled(_ offsets: Tensor) -> Tensor {
        var result = offsets
        result.withMutableElements { elements in
            for index in elements.indices { elements[index] *= scale[index % rank] }
        }
        return result
    }

    private static func gelu(_ x: Float) -> Float { x * 0.5 * (1 + erf(x * Float(0.5).squareRoot())) }

    /// The derivative of ``gelu(_:)``: the normal distribution's cumulative probability plus x times its density.
    private static func geluSlope(_ x: Float) -> Float {
        0.5 * (1 + erf(x * Float(0.5).squareRoot())) + x * exp(-0.5 * x * x) / (2 * Float.pi).squareRoot()
    }
}

extension Tensor {
    fileprivate mutating func replaceEach(_ function: (Float) -> Float) {
        withMutableElements { elements in
            guard let start = elements.baseAddress else { return }
            Parallel.forRanges(elements.count, minimumPerThread: 1 << 12) { range in
                for index in range { start[index] = function(start[index]) }
            }
        }
    }

    /// The same with the element of another tensor of as many as the function's second argument.
    fileprivate mutating func replaceEach(with other: Tensor, _ function: (Float, Float) -> Float) {
        precondition(count == other.count, "\(shape) with \(other.shape)")
        withMutableElements { elements in
            guard let start = elements.baseAddress else { return }
            withExtendedLifetime(other) {
                Parallel.forRanges(elements.count, minimumPerThread: 1 << 12) { range in
                    for index in range { start[index] = function(start[index], other.pointer[index]) }
                }
            }
        }
    }
}
