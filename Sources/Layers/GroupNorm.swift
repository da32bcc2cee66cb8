import CKernels
import Checkpoint
import Tensors

/// Group normalisation of feature maps: mean and variance over each image's pixels and a group of neighbouring channels.
///
/// - Source: torch.nn.GroupNorm (biased variance).
public struct GroupNorm: Sendable {
    public let groups: Int
    public let channels: Int
    private let gain: Tensor
    private let bias: Tensor
    private static let epsilon = 1e-5

    /// Reads `weight` and `bias`, `[channels]` each.
    public init(_ cursor: WeightCursor, groups: Int, channels: Int) throws {
        self.init(
            groups: groups, gain: try cursor.tensor("weight", [channels]), bias: try cursor.tensor("bias", [channels]))
    }

    public init(groups: Int, gain: Tensor, bias: Tensor) {
        precondition(gain.shape.rank == 1 && gain.shape == bias.shape, "gain \(gain.shape), bias \(bias.shape)")
        precondition(groups > 0 && gain.count % groups == 0, "\(gain.count) channels in \(groups) groups")
        self.groups = groups
        channels = gain.count
        self.gain = gain
        self.bias = bias
    }

    /// Normalises each image by the moments of its valid part, and writes its pixels as rows of a sequence.
    ///
    /// - Parameters:
    ///   - map: `[N, H, W, C]`.
    ///   - sequence: `[N, S, C]`; rows `start..<start + H * W` of each image are written, padding included.
    public func callAsFunction(_ map: FeatureMap, into sequence: inout Tensor, at start: Int) {
        let pixels = map.height * map.width
        precondition(
            map.channels == channels && sequence.shape.rank == 3 && sequence.shape[0] == map.images
                && sequence.shape[2] == channels && start + pixels <= sequence.shape[1],
            "\(map.values.shape) into rows from \(start) of \(sequence.shape)")
        let length = sequence.shape[1]
        sequence.withMutableElements { sequence in
            guard let target = sequence.baseAddress else { return }
            for image in 0..<map.images {
                let (scale, shift) = scaleAndShift(of: map, image: image)
                let source = image * pixels * channels
                let destination = target + (image * length + start) * channels
                withExtendedLifetime((map.values, scale, shift)) {
                    Parallel.forRanges(pixels, minimumPerThread: 256) { rows in
                        let offset = rows.lowerBound * channels
                        rows_scale_shift(
                            Int64(rows.count), Int64(channels), map.values.pointer + source + offset, scale.pointer,
                            shift.pointer, destination + offset)
                    }
                }
            }
        }
    }

    /// The normalisation of one image as `x * scale + shift`, `[C]` each.
    ///
    /// Sums are kept in Double, one partial sum for each row of the map, so that they do not depend on the thread count.
    private func scaleAndShift(of map: FeatureMap, image: Int) -> (scale: Tensor, shift: Tensor) {
        let valid = map.validSizes[image]
        var rowSums = [Double](repeating: 0, count: valid.height * channels)
        var rowSquares = rowSums
        let start = image * map.height * map.width * channels
        rowSums.withUnsafeMutableBufferPointer { sums in
            rowSquares.withUnsafeMutableBufferPointer { squares in
                guard let sums = sums.baseAddress, let squares = squares.baseAddress else { return }
                withExtendedLifetime(map.values) {
                    Parallel.forRanges(valid.height) { rows in
                        for row in rows {
                            rows_moments(
                                Int64(valid.width), Int64(channels),
                                map.values.pointer + start + row * map.width * channels,
                                sums + row * channels, squares + row * channels)
                        }
                    }
                }
            }
        }
        let groupWidth = channels / groups
        var groupSums = [Double](repeating: 0, count: groups)
        var groupSquares = groupSums
        for index in rowSums.indices {
            groupSums[index % channels / groupWidth] += rowSums[index]
            groupSquares[index % channels / groupWidth] += rowSquares[index]
        }
        let count = Double(max(1, valid.height * valid.width * groupWidth))
        var scale = Tensor(uninitialized: [channels])
        var shift = Tensor(uninitialized: [channels])
        gain.withElements { gain in
            bias.withElements { bias in
                scale.withMutableElements { scale in
                    shift.withMutableElements { shift in
                        for channel in 0..<channels {
                            let group = channel / groupWidth
                            let mean = groupSums[group] / count
                            let variance = max(0, groupSquares[group] / count - mean * mean)
                            let factor = Double(gain[channel]) / (variance + Self.epsilon).squareRoot()
                            scale[channel] = Float(factor)
                            shift[channel] = Float(Double(bias[channel]) - mean * factor)
                        }
                    }
                }
            }
        }
        return (scale, shift)
    }
}
