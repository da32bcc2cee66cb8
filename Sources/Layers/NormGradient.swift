import CKernels
import Tensors

/// What the input's gradient of every norm comes to: `dx = dy * gradient scale + x * value scale + shift`, by channel.
struct NormGradient {
    /// `[C]` each.
    let gradientScale: Tensor
    let valueScale: Tensor
    let shift: Tensor

    init(gradientScale: [Double], valueScale: [Double], shift: [Double]) {
        self.gradientScale = Tensor(rounding: gradientScale)
        self.valueScale = Tensor(rounding: valueScale)
        self.shift = Tensor(rounding: shift)
    }

    /// - Parameters:
    ///   - gradient: `[..., C]`.
    ///   - values: the norm's input, the same shape.
    func inputGradient(of gradient: Tensor, values: Tensor) -> Tensor {
        Tensor(values.shape) { output in
            guard let target = output.baseAddress else { return }
            withExtendedLifetime((gradient, values)) {
                apply(
                    pixels: values.count / values.shape.last, gradients: gradient.pointer, values: values.pointer,
                    into: target)
            }
        }
    }

    /// The same on memory that the caller answers for.
    func apply(
        pixels: Int, gradients: UnsafePointer<Float>, values: UnsafePointer<Float>,
        into target: UnsafeMutablePointer<Float>
    ) {
        let channels = shift.count
        withExtendedLifetime(self) {
            Parallel.forRanges(pixels, minimumPerThread: 256) { range in
                let start = range.lowerBound * channels
                maps_combine(
                    Int64(range.count), Int64(channels), gradients + start, values + start, gradientScale.pointer,
                    valueScale.pointer, shift.pointer, target + start)
            }
        }
    }
}
