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
    /// The path before `.weight` and `.bias`; nil for a layer of no checkpoint.
    private let path: String?
    private static let epsilon = 1e-5

    /// Reads `weight` and `bias`, `[channels]` each.
    public init(_ cursor: WeightCursor, groups: Int, channels: Int) throws {
        self.init(
            groups: groups, gain: try cursor.tensor("weight", [channels]), bias: try cursor.tensor("bias", [channels]),
            path: cursor.path)
    }

    /// A layer of no checkpoint, for inference.
    public init(groups: Int, gain: Tensor, bias: Tensor) {
        self.init(groups: groups, gain: gain, bias: bias, path: nil)
    }

    private init(groups: Int, gain: Tensor, bias: Tensor, path: String?) {
        precondition(gain.shape.rank == 1 && gain.shape == bias.shape, "gain \(gain.shape), bias \(bias.shape)")
        precondition(groups > 0 && gain.count % groups == 0, "\(gain.count) channels in \(groups) groups")
        self.groups = groups
        channels = gain.count
        self.gain = gain
        self.bias = bias
        self.path = path
    }

    /// Normalises each image by the moments of its valid part, and writes its pixels as rows of a sequence.
    ///
    /// - Parameters:
    ///   - map: `[N, H, W, C]`.
    ///   - sequence: `[N, S, C]`; rows `start..<start + H * W` of each image are written, padding included.
    public func callAsFunction(_ map: FeatureMap, into sequence: inout Tensor, at start: Int) {
        normalize(map, by: moments(of: map), into: &sequence, at: start)
    }

    /// The same, and how a gradient flows back through it.
    ///
    /// With `r = 1 / sqrt(variance + epsilon)`, `x' = (x - mean) r`, and means over an image's pixels and a group's channels:
    /// `dx = r (gain dy - mean(gain dy) - x' mean(gain dy x'))`, `dgain = sum(dy x')`, `dbias = sum(dy)`.
    ///
    /// - Returns: a pullback that takes the gradient of the whole sequence, `[N, S, C]`, of which it reads the rows that were
    ///   written, and gives that of the map's values, `[N, H, W, C]`, 0 outside the images. Gradients of the sequence's rows
    ///   that hold padding count as 0.
    public func withPullback(_ map: FeatureMap, into sequence: inout Tensor, at start: Int) -> Pullback {
        let moments = moments(of: map)
        normalize(map, by: moments, into: &sequence, at: start)
        let shape = sequence.shape
        return { sequenceGradient, gradients in
            precondition(sequenceGradient.shape == shape, "gradient \(sequenceGradient.shape) of \(shape)")
            return inputGradient(of: sequenceGradient, at: start, map: map, moments: moments, to: &gradients)
        }
    }

    /// The statistics of one image's group of channels.
    private struct Moments {
        let mean: Double
        /// `1 / sqrt(variance + epsilon)`
        let inverseDeviation: Double
    }

    /// `[N][groups]`.
    private func moments(of map: FeatureMap) -> [[Moments]] {
        precondition(map.channels == channels, "\(map.values.shape) for \(channels) channels")
        let groupWidth = channels / groups
        return map.validSizes.enumerated().map { image, valid in
            let sums = ChannelSums(rows: valid.height, channels: channels) { row, sums, squares in
                let start = (image * map.height + row) * map.width * channels
                rows_moments(Int64(valid.width), Int64(channels), map.values.pointer + start, sums, squares)
            }
            let count = Double(max(1, valid.height * valid.width * groupWidth))
            return (0..<groups).map { group in
                let members = group * groupWidth..<(group + 1) * groupWidth
                let mean = sums.first[members].reduce(0, +) / count
                let variance = max(0, sums.second[members].reduce(0, +) / count - mean * mean)
                return Moments(mean: mean, inverseDeviation: 1 / (variance + Self.epsilon).squareRoot())
            }
        }
    }

    private func normalize(_ map: FeatureMap, by moments: [[Moments]], into sequence: inout Tensor, at start: Int) {
        let pixels = map.height * map.width
        precondition(
            sequence.shape.rank == 3 && sequence.shape[0] == map.images && sequence.shape[2] == channels
                && start + pixels <= sequence.shape[1],
            "\(map.values.shape) into rows from \(start) of \(sequence.shape)")
        let length = sequence.shape[1]
        let (gain, bias) = (gain.elements, bias.elements)
        let groupWidth = channels / groups
        sequence.withMutableElements { sequence in
            guard let target = sequence.baseAddress else { return }
            for image in 0..<map.images {
                let factors = (0..<channels).map {
                    Double(gain[$0]) * moments[image][$0 / groupWidth].inverseDeviation
                }
                let scale = Tensor(rounding: factors)
                let shift = Tensor(
                    rounding: (0..<channels).map {
                        Double(bias[$0]) - moments[image][$0 / groupWidth].mean * factors[$0]
                    })
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

    private func inputGradient(
        of sequenceGradient: Tensor, at start: Int, map: FeatureMap, moments: [[Moments]], to gradients: inout Gradients
    ) -> Tensor {
        let (pixels, length, gain) = (map.height * map.width, sequenceGradient.shape[1], gain.elements)
        let groupWidth = channels / groups
        var gainGradient = [Double](repeating: 0, count: channels)
        var biasGradient = gainGradient
        var result = Tensor(uninitialized: map.values.shape)
        for (image, valid) in map.validSizes.enumerated() {
            let first = image * pixels * channels
            let firstGradient = (image * length + start) * channels
            let sums = ChannelSums(rows: valid.height, channels: channels) { row, sums, products in
                let offset = row * map.width * channels
                maps_gradient_moments(
                    Int64(valid.width), Int64(channels), map.values.pointer + first + offset,
                    sequenceGradient.pointer + firstGradient + offset, sums, products)
            }
            let count = Double(max(1, valid.height * valid.width * groupWidth))
            var gradientScale = [Double](repeating: 0, count: channels)
            var (valueScale, shift) = (gradientScale, gradientScale)
            for (group, moments) in moments[image].enumerated() {
                let (mean, inverse) = (moments.mean, moments.inverseDeviation)
                // The means over the group of gain dy and gain dy x'.
                var (meanGradient, meanProduct) = (0.0, 0.0)
                for channel in group * groupWidth..<(group + 1) * groupWidth {
                    let product = inverse * (sums.second[channel] - mean * sums.first[channel])
                    gainGradient[channel] += product
                    biasGradient[channel] += sums.first[channel]
                    meanGradient += Double(gain[channel]) * sums.first[channel] / count
                    meanProduct += Double(gain[channel]) * product / count
                }
                for channel in group * groupWidth..<(group + 1) * groupWidth {
                    gradientScale[channel] = inverse * Double(gain[channel])
                    valueScale[channel] = -inverse * inverse * meanProduct
                    shift[channel] = -inverse * meanGradient - valueScale[channel] * mean
                }
            }
            result.withMutableElements { result in
                guard let target = result.baseAddress else { return }
                withExtendedLifetime((sequenceGradient, map.values)) {
                    NormGradient(gradientScale: gradientScale, valueScale: valueScale, shift: shift).apply(
                        pixels: pixels, gradients: sequenceGradient.pointer + firstGradient,
                        values: map.values.pointer + first, into: target + first)
                }
            }
        }
        guard let path else { preconditionFailure("the parameters of this norm have no names") }
        gradients.add(Tensor(rounding: gainGradient), to: path + ".weight")
        gradients.add(Tensor(rounding: biasGradient), to: path + ".bias")
        return result.withoutPadding(map.validSizes)
    }
}
