import CKernels
import Tensors

/// A factor of products, `[...]`, rounded to what they compute in: once for the forward and the backward, which keeps it.
package struct Factor: Sendable {
    package let shape: Shape
    /// How the elements lie in memory.
    package let format: ComputePrecision
    private var storage: Storage
    /// Where the first element lies in the storage.
    private var byteOffset = 0

    /// - Parameter tensor: shares its memory with the factor if that is float32.
    package init(_ tensor: consuming Tensor, precision: ComputePrecision) {
        shape = tensor.shape
        format = precision.native
        switch (precision, format) {
        case (.float32, _): (storage, byteOffset) = tensor.memory
        case (.bfloat16, .float32): (storage, byteOffset) = Tensor(shape, widening: tensor.bfloat16()).memory
        case (.bfloat16, .bfloat16): storage = tensor.bfloat16()
        }
    }

    /// A tensor's elements as they are, so that its memory can become a result's; nil for none.
    package static func floats(_ tensor: consuming Tensor?) -> Factor? {
        switch consume tensor {
        case .some(let tensor): Factor(tensor, precision: .float32)
        case .none: nil
        }
    }

    /// Uninitialised elements: for a caller that writes every one of them next.
    package init(uninitialized shape: Shape, format: ComputePrecision) {
        self.shape = shape
        self.format = format
        storage = Storage(byteCount: shape.count * format.elementSize)
    }

    package var count: Int { shape.count }

    /// The elements, shared if they are float32, else as a copy.
    package var tensor: Tensor {
        switch format {
        case .float32: Tensor(shape, storage: storage, byteOffset: byteOffset)
        case .bfloat16: Tensor(shape, widening: storage)
        }
    }

    /// The first element. Valid while the factor lives: keep it with `withExtendedLifetime`.
    package var pointer: UnsafeRawPointer { UnsafeRawPointer(storage.start + byteOffset) }

    /// Calls `body` with the first element; copies the elements first if another factor shares them.
    package mutating func withMutableBytes<Result>(_ body: (UnsafeMutableRawPointer) -> Result) -> Result {
        if !isKnownUniquelyReferenced(&storage) || !storage.isWritable {
            let copy = Storage(byteCount: count * format.elementSize)
            copy.start.copyMemory(from: pointer, byteCount: copy.byteCount)
            (storage, byteOffset) = (copy, 0)
        }
        return withExtendedLifetime(storage) { body(storage.start + byteOffset) }
    }

    /// Every so many rows and columns of maps `[N, H, W, C]`, from the first: `[N, ceil(H / step), ceil(W / step), C]`.
    func gathered(every step: Int) -> Factor {
        let (height, width, channels) = ((shape[1] + step - 1) / step, (shape[2] + step - 1) / step, shape[3])
        var gathered = Factor(uninitialized: [shape[0], height, width, channels], format: format)
        let pixelSize = channels * format.elementSize
        withExtendedLifetime(self) {
            gathered.withMutableBytes { target in
                for pixel in 0..<shape[0] * height * width {
                    let place = shape.place(ofPixel: pixel, height: height, width: width, step: step)
                    (target + pixel * pixelSize)
                        .copyMemory(from: pointer + place * format.elementSize, byteCount: pixelSize)
                }
            }
        }
        return gathered
    }
}

extension Shape {
    /// Where a pixel of maps `[N, height, width, C]` that hold every so many rows and columns of maps of this shape,
    /// `[N, H, W, C]`, begins in these.
    func place(ofPixel pixel: Int, height: Int, width: Int, step: Int) -> Int {
        let (image, row, column) = (pixel / width / height, pixel / width % height, pixel % width)
        return ((image * self[1] + row * step) * self[2] + column * step) * self[3]
    }
}

extension Tensor {
    /// The elements rounded to bfloat16: to the nearest, to the even one of two.
    fileprivate func bfloat16() -> Storage {
        let storage = Storage(byteCount: count * MemoryLayout<UInt16>.stride)
        let target = storage.start.assumingMemoryBound(to: UInt16.self)
        withExtendedLifetime((self, storage)) {
            Parallel.forRanges(count, minimumPerThread: 1 << 15) { range in
                bfloat16_round(Int64(range.count), pointer + range.lowerBound, target + range.lowerBound)
            }
        }
        return storage
    }

    /// From bfloat16.
    fileprivate init(_ shape: Shape, widening storage: Storage) {
        let source = storage.start.assumingMemoryBound(to: UInt16.self)
        self.init(shape) { result in
            guard let target = result.baseAddress else { return }
            withExtendedLifetime(storage) {
                Parallel.forRanges(shape.count, minimumPerThread: 1 << 15) { range in
                    bfloat16_widen(Int64(range.count), source + range.lowerBound, target + range.lowerBound)
                }
            }
        }
    }
}
