import Checkpoint
import Layers
import Tensors

extension Conv2D {
    /// A convolution without bias and the frozen BatchNorm behind it, as one convolution.
    ///
    /// `y = (conv(x) - mean) / sqrt(variance + 1e-5) * weight + bias`: the factor goes into the kernel, the rest is the
    /// bias, both computed in Double.
    ///
    /// - Source: `FrozenBatchNorm2d` in `models/backbone.py` of fundamentalvision/Deformable-DETR.
    /// - Parameters:
    ///   - norm: has `weight`, `bias`, `running_mean` and `running_var`, `[output channels]` each.
    ///   - convolution: has `weight`.
    init(
        folding norm: WeightCursor, into convolution: WeightCursor, inputChannels: Int, outputChannels: Int,
        geometry: Geometry
    ) throws {
        let shape: Shape = [outputChannels, inputChannels, geometry.kernel, geometry.kernel]
        var kernel = try convolution.tensor("weight", shape)
        let gain = try norm.tensor("weight", [outputChannels]).elements
        let shift = try norm.tensor("bias", [outputChannels]).elements
        let mean = try norm.tensor("running_mean", [outputChannels]).elements
        let variance = try norm.tensor("running_var", [outputChannels]).elements
        if let index = variance.firstIndex(where: { $0 < 0 }) {
            throw CheckpointError.malformed(
                path: norm.origin, format: "weights", location: "\(norm.path).running_var[\(index)]",
                expected: "a variance, 0 or more", found: "\(variance[index])")
        }
        let factors = zip(gain, variance).map { Double($0) / (Double($1) + 1e-5).squareRoot() }
        let bias = (0..<outputChannels).map { Float(Double(shift[$0]) - Double(mean[$0]) * factors[$0]) }

        let kernelSize = shape.count / outputChannels
        kernel.withMutableElements { elements in
            for channel in 0..<outputChannels {
                for index in channel * kernelSize..<(channel + 1) * kernelSize {
                    elements[index] = Float(Double(elements[index]) * factors[channel])
                }
            }
        }
        self.init(weight: kernel, bias: Tensor([outputChannels], bias), geometry: geometry)
    }
}
