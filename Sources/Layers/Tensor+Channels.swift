import Tensors

extension Tensor {
    /// From this package's order of axes to PyTorch's: `[N, extents..., C]` to `[N, C, extents...]`; a copy.
    public func channelsFirst() -> Tensor {
        precondition(shape.rank >= 2, "\(shape), expected [N, ..., C]")
        let extents = shape.dimensions.dropFirst().dropLast()
        return swappingPositionsAndChannels(
            positions: extents.reduce(1, *), channels: shape.last, as: Shape([shape[0], shape.last] + extents))
    }

    /// From PyTorch's order of axes to this package's: `[N, C, extents...]` to `[N, extents..., C]`; a copy.
    public func channelsLast() -> Tensor {
        precondition(shape.rank >= 2, "\(shape), expected [N, C, ...]")
        let extents = shape.dimensions.dropFirst(2)
        return swappingPositionsAndChannels(
            positions: shape[1], channels: extents.reduce(1, *), as: Shape([shape[0]] + extents + [shape[1]]))
    }

    /// `[N, positions, channels]` to `[N, channels, positions]`, whatever the two are.
    private func swappingPositionsAndChannels(positions: Int, channels: Int, as result: Shape) -> Tensor {
        Tensor(result) { output in
            withElements { elements in
                for image in 0..<(elements.isEmpty ? 0 : shape[0]) {
                    let start = image * positions * channels
                    for channel in 0..<channels {
                        for position in 0..<positions {
                            output[start + channel * positions + position] =
                                elements[start + position * channels + channel]
                        }
                    }
                }
            }
        }
    }
}
