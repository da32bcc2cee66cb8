import CKernels
import Layers
import Tensors

/// Samples a map at arbitrary locations, linearly along each axis; beyond the map's edges there are zeros.
///
/// A location's component v in -1...1 spans its axis from edge to edge: `pixel = ((v + 1) * extent - 1) / 2`, where whole numbers
/// are the centres of positions. Groups of channels have locations of their own. A location with a component that is NaN,
/// infinite, or more than a step outside the map gives zeros.
///
/// - Source: `torch.nn.functional.grid_sample` with `align_corners=False`, `padding_mode="zeros"`.
package struct GridSampling: Sendable {
    /// The map's extents, outermost axis first.
    private let extents: [Int]
    /// The axis that each component of a location runs along.
    private let axes: [Int]

    /// - Parameters:
    ///   - extents: the map's, outermost axis first; 1 to 3 of them, none of them 0.
    ///   - axes: for each component of a location the axis that it runs along.
    package init(extents: [Int], axes: [Int]) {
        precondition(
            (1...3).contains(extents.count) && extents.allSatisfy { $0 > 0 } && axes.sorted() == Array(extents.indices),
            "components along axes \(axes) of a map of \(extents)")
        self.extents = extents
        self.axes = axes
    }

    /// - Parameters:
    ///   - input: `[N, S, C]`, S the product of the extents.
    ///   - locations: `[N, G, P, n]`, for groups of C / G channels.
    /// - Returns: `[N, P, C]`.
    package func callAsFunction(_ input: Tensor, at locations: Tensor) -> Tensor {
        check(input, locations)
        let (images, samples) = (locations.shape[0], locations.shape[2])
        return Tensor([images, samples, input.shape[2]]) { output in
            guard let target = output.baseAddress else { return }
            withBridged(input, locations) { sampling in
                Parallel.forRanges(images * samples, minimumPerThread: 16) { range in
                    grid_sampling_forward(sampling, Int64(range.lowerBound), Int64(range.upperBound), target)
                }
            }
        }
    }

    /// The input's gradient gathers what each position gave, with the weight it gave it; a location's is the sum over its channels
    /// of the gradient times the slope of the interpolation there. Where the slope jumps, at the centres of positions, it is
    /// the one towards larger coordinates, as PyTorch has it.
    package func withPullback(_ input: Tensor, at locations: Tensor) -> (
        output: Tensor, pullback: @Sendable (_ outputGradient: Tensor) -> (input: Tensor, locations: Tensor)
    ) {
        (
            self(input, at: locations),
            { outputGradient in
                let expected = Shape([locations.shape[0], locations.shape[2], input.shape[2]])
                precondition(outputGradient.shape == expected, "gradient \(outputGradient.shape), expected \(expected)")
                return (
                    inputGradient(input, locations, outputGradient), locationGradient(input, locations, outputGradient)
                )
            }
        )
    }

    private func inputGradient(_ input: Tensor, _ locations: Tensor, _ outputGradient: Tensor) -> Tensor {
        var gradient = Tensor(input.shape)
        let groups = locations.shape[1]
        let block = Int(grid_sampling_block)
        let units = locations.shape[0] * groups * ((input.shape[2] / groups + block - 1) / block)
        gradient.withMutableElements { gradient in
            guard let target = gradient.baseAddress else { return }
            withExtendedLifetime(outputGradient) {
                withBridged(input, locations) { sampling in
                    Parallel.forRanges(units) { range in
                        grid_sampling_input_gradient(
                            sampling, Int64(range.lowerBound), Int64(range.upperBound), outputGradient.pointer, target)
                    }
                }
            }
        }
        return gradient
    }

    private func locationGradient(_ input: Tensor, _ locations: Tensor, _ outputGradient: Tensor) -> Tensor {
        Tensor(locations.shape) { gradient in
            guard let target = gradient.baseAddress else { return }
            withExtendedLifetime(outputGradient) {
                withBridged(input, locations) { sampling in
                    Parallel.forRanges(locations.count / axes.count, minimumPerThread: 64) { range in
                        grid_sampling_location_gradient(
                            sampling, Int64(range.lowerBound), Int64(range.upperBound), outputGradient.pointer, target)
                    }
                }
            }
        }
    }

    private func withBridged(_ input: Tensor, _ locations: Tensor, _ body: (UnsafePointer<grid_sampling>) -> Void) {
        let strides = axes.map { extents[($0 + 1)...].reduce(1, *) }
        withExtendedLifetime((input, locations)) {
            var sampling = grid_sampling(
                rank: Int64(axes.count), extents: Self.triple(axes.map { extents[$0] }),
                strides: Self.triple(strides), positions: Int64(input.shape[1]),
                samples: Int64(locations.shape[2]), groups: Int64(locations.shape[1]),
                group_width: Int64(input.shape[2] / locations.shape[1]), input: input.pointer,
                locations: locations.pointer)
            withUnsafePointer(to: &sampling, body)
        }
    }

    /// As many entries as there are components, for the kernel's arrays of three.
    private static func triple(_ entries: [Int]) -> (Int64, Int64, Int64) {
        let all = entries.map(Int64.init) + [0, 0]
        return (all[0], all[1], all[2])
    }

    private func check(_ input: Tensor, _ locations: Tensor) {
        precondition(
            input.shape.rank == 3 && input.shape[1] == extents.reduce(1, *),
            "input \(input.shape) for a map of \(extents)")
        precondition(
            locations.shape.rank == 4 && locations.shape[0] == input.shape[0] && locations.shape[1] > 0
                && input.shape[2] % locations.shape[1] == 0 && locations.shape[3] == axes.count,
            "locations \(locations.shape) for input \(input.shape) and \(axes.count) axes")
    }
}
