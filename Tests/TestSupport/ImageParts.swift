import Tensors

extension Tensor {
    /// The top left part of one image of `[N, H, W, C]`, as `[1, height, width, C]`.
    public func part(image: Int, height: Int, width: Int) -> Tensor {
        let (values, channels) = (elements, shape[3])
        return Tensor([1, height, width, channels]) { output in
            for row in 0..<height {
                let start = (image * shape[1] + row) * shape[2] * channels
                _ = output[row * width * channels..<(row + 1) * width * channels]
                    .update(fromContentsOf: values[start..<start + width * channels])
            }
        }
    }
}
