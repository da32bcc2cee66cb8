import CKernels
import Checkpoint
import Tensors

/// Batch normalisation of feature maps: mean and variance of each channel over the pixels of the whole batch.
///
/// Inference and frozen norms use the running statistics and are folded into the convolution before them
/// (``linearMap``); training uses the batch's own.
///
/// - Source: torch.nn.BatchNorm2d (momentum 0.1, epsilon 1e-5; biased variance to normalise, unbiased to remember).
public struct BatchNorm: Sendable {
    public let channels: Int
    private let gain: [Float]
    private let bias: [Float]
    private let runningMean: [Float]
    private let runningVariance: [Float]
    /// The path before `.weight`.
    private let path: String
    private static let epsilon = 1e-5
    private static let momentum = 0.1

    /// Reads `weight`, `bias`, `running_mean` and `running_var`, `[channels]` each.
    ///
    /// - Throws: ``CheckpointError``, also for a negative variance.
    public init(_ cursor: WeightCursor, channels: Int) throws {
        self.channels = channels
        path = cursor.path
        gain = try cursor.tensor("weight", [channels]).elements
        bias = try cursor.tensor("bias", [channels]).elements
        runningMean = try cursor.tensor("running_mean", [channels]).elements
        runningVariance = try cursor.tensor("running_var", [channels]).elements
        if let index = runningVariance.firstIndex(where: { $0 < 0 }) {
            throw CheckpointError.malformed(
                path: cursor.origin, format: "weights", location: "\(path).running_var[\(index)]",
                expected: "a variance, 0 or more", found: "\(runningVariance[index])")
        }
    }

    /// What the norm does in inference: `y = x * scale + shift` for each channel.
    public var linearMap: (scale: [Double], shift: [Float]) {
        linearMap(mean: runningMean.map(Double.init), variance: runningVariance.map(Double.init))
    }

    private func linearMap(mean: [Double], variance: [Double]) -> (scale: [Double], shift: [Float]) {
        let scale = zip(gain, variance).map { Double($0) / ($1 + Self.epsilon).squareRoot() }
        return (scale, (0..<channels).map { Float(Double(bias[$0]) - mean[$0] * scale[$0]) })
    }

    /// Inference, for a network that was built to train: by the running statistics.
    ///
    /// - Parameters:
    ///   - values: `[N, H, W, C]`.
    ///   - residual: the same shape, added before the activation.
    public func callAsFunction(
        _ values: Tensor, activation: Activation = .none, addingTo residual: Tensor? = nil
    ) -> Tensor {
        apply(linearMap, to: values, activation: activation, addingTo: residual)
    }

    /// Training: by the batch's statistics, of the pixels inside the images.
    ///
    /// - Parameters:
    ///   - map: the pullback keeps it.
    ///   - residual: `[N, H, W, C]`, added before the activation.
    ///   - statistics: gets the running statistics that the next step starts from. A batch of one pixel leaves the running
    ///     variance as it is.
    /// - Returns: the output, and a pullback that gives the gradients of the map's values (0 outside the images) and of the
    ///   residual.
    public func withPullback(
        _ map: FeatureMap, activation: Activation = .none, addingTo residual: Tensor? = nil,
        updating statistics: inout BatchStatistics
    ) -> (
        output: FeatureMap,
        pullback: (_ outputGradient: Tensor, _ gradients: inout Gradients) -> (input: Tensor, residual: Tensor)
    ) {
        precondition(map.channels == channels, "\(map.values.shape) for \(channels) channels")
        let rows = ValidRows(map)
        let sums = ChannelSums(rows: rows.count, channels: channels) { row, sums, squares in
            let (start, pixels) = rows[row]
            rows_moments(Int64(pixels), Int64(channels), map.values.pointer + start * channels, sums, squares)
        }
        let count = Double(max(1, rows.pixelCount))
        let mean = sums.first.map { $0 / count }
        let variance = zip(sums.second, mean).map { max(0, $0 / count - $1 * $1) }
        remember(mean: mean, variance: variance, pixels: rows.pixelCount, in: &statistics)

        let values = apply(
            linearMap(mean: mean, variance: variance), to: map.values, activation: activation, addingTo: residual)
        let output = FeatureMap(values: values, validSizes: map.validSizes)
        let mask = ReLUMask(of: values, activation: activation)
        return (
            output,
            { outputGradient, gradients in
                let gradient = mask?.gradient(of: outputGradient) ?? outputGradient
                let inputGradient = inputGradient(
                    of: gradient, map: map, rows: rows, mean: mean, variance: variance, to: &gradients)
                return (inputGradient, gradient)
            }
        )
    }

    private func apply(
        _ linearMap: (scale: [Double], shift: [Float]), to values: Tensor, activation: Activation,
        addingTo residual: Tensor?
    ) -> Tensor {
        precondition(values.shape.last == channels, "\(values.shape) for \(channels) channels")
        precondition(residual.map { $0.shape == values.shape } ?? true, "residual does not match \(values.shape)")
        let scale = Tensor(rounding: linearMap.scale)
        let shift = Tensor([channels], linearMap.shift)
        return Tensor(values.shape) { output in
            guard let target = output.baseAddress else { return }
            withExtendedLifetime((values, residual, scale, shift)) {
                Parallel.forRanges(values.count / channels, minimumPerThread: 256) { pixels in
                    let start = pixels.lowerBound * channels
                    maps_scale_shift_add(
                        Int64(pixels.count), Int64(channels), values.pointer + start, scale.pointer, shift.pointer,
                        residual.map { $0.pointer + start }, activation == .relu ? 1 : 0, target + start)
                }
            }
        }
    }

    private func remember(mean: [Double], variance: [Double], pixels: Int, in statistics: inout BatchStatistics) {
        func blend(_ old: [Float], _ new: [Double]) -> Tensor {
            Tensor(rounding: zip(old, new).map { Double($0) * (1 - Self.momentum) + $1 * Self.momentum })
        }
        statistics.record(blend(runningMean, mean), as: path + ".running_mean")
        guard pixels > 1 else {
            return statistics.record(Tensor([channels], runningVariance), as: path + ".running_var")
        }
        let correction = Double(pixels) / Double(pixels - 1)
        statistics.record(blend(runningVariance, variance.map { $0 * correction }), as: path + ".running_var")
    }

    /// With `r = 1 / sqrt(variance + epsilon)`, `x' = (x - mean) r`, and means over the pixels:
    /// `dx = gain * r * (dy - mean(dy) - x' * mean(dy x'))`, `dgain = sum(dy x')`, `dbias = sum(dy)`.
    private func inputGradient(
        of gradient: Tensor, map: FeatureMap, rows: ValidRows, mean: [Double], variance: [Double],
        to gradients: inout Gradients
    ) -> Tensor {
        precondition(gradient.shape == map.values.shape, "gradient \(gradient.shape) of \(map.values.shape)")
        let sums = ChannelSums(rows: rows.count, channels: channels) { row, sums, products in
            let (start, pixels) = rows[row]
            maps_gradient_moments(
                Int64(pixels), Int64(channels), map.values.pointer + start * channels,
                gradient.pointer + start * channels, sums, products)
        }
        let count = Double(max(1, rows.pixelCount))
        let inverse = variance.map { 1 / ($0 + Self.epsilon).squareRoot() }
        let gainGradient = (0..<channels).map { inverse[$0] * (sums.second[$0] - mean[$0] * sums.first[$0]) }
        if gradients.wants(path + ".weight") { gradients.add(Tensor(rounding: gainGradient), to: path + ".weight") }
        if gradients.wants(path + ".bias") { gradients.add(Tensor(rounding: sums.first), to: path + ".bias") }

        let gradientScale = (0..<channels).map { Double(gain[$0]) * inverse[$0] }
        let valueScale = (0..<channels).map { -gradientScale[$0] * inverse[$0] * gainGradient[$0] / count }
        let shift = (0..<channels).map { -gradientScale[$0] * sums.first[$0] / count - valueScale[$0] * mean[$0] }
        return NormGradient(gradientScale: gradientScale, valueScale: valueScale, shift: shift)
            .inputGradient(of: gradient, values: map.values).withoutPadding(map.validSizes)
    }
}

/// The running statistics that a training step leaves behind, by their names in the checkpoint.
///
/// Layers never change: the next step's model is built with these.
public struct BatchStatistics: Sendable {
    private var tensors: [String: Tensor] = [:]

    public init() {}

    /// The new `running_mean` or `running_var` of that name, `[C]`; nil if no norm has run under it.
    public subscript(name: String) -> Tensor? { tensors[name] }

    /// In alphabetical order.
    public var names: [String] { tensors.keys.sorted() }

    mutating func record(_ tensor: Tensor, as name: String) {
        tensors[name] = tensor
    }
}

/// The rows of a batch's images without their padding.
private struct ValidRows {
    /// Of each image, how many rows come before it.
    private var firstRows: [Int] = [0]
    private let map: (height: Int, width: Int)
    private let validSizes: [ValidSize]

    init(_ map: FeatureMap) {
        for size in map.validSizes { firstRows.append(firstRows[firstRows.count - 1] + size.height) }
        self.map = (map.height, map.width)
        validSizes = map.validSizes
    }

    var count: Int { firstRows[firstRows.count - 1] }

    var pixelCount: Int { validSizes.reduce(0) { $0 + $1.height * $1.width } }

    /// The number of a row's first pixel in the batch, and how many pixels follow.
    subscript(row: Int) -> (start: Int, pixels: Int) {
        var image = 0
        while firstRows[image + 1] <= row { image += 1 }
        let line = row - firstRows[image]
        return ((image * map.height + line) * map.width, validSizes[image].width)
    }
}
