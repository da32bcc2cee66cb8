import CKernels
import COneDNN
import Tensors

/// What the factors of products and convolutions are rounded to. Sums, biases, norms, softmax, sampling, losses and the
/// parameters themselves are float32 in both.
public enum ComputePrecision: Sendable, Hashable {
    case float32
    /// bfloat16: 8 bits of precision, float32's range. About twice as fast on a processor that multiplies it; on others the
    /// rounded factors are multiplied as float32, which gives the same but for the order of sums and gains nothing.
    case bfloat16

    /// What this processor multiplies in.
    var native: ComputePrecision { Self.processorMultipliesBFloat16 ? self : .float32 }

    private static let processorMultipliesBFloat16 = onednn_multiplies_bfloat16() == 1

    /// Bytes of a factor's element in memory.
    var elementSize: Int { self == .bfloat16 ? MemoryLayout<UInt16>.stride : MemoryLayout<Float>.stride }

    /// Of operations whose factors are in this precision in memory.
    var types: onednn_types {
        onednn_types(factors: self == .bfloat16 ? onednn_bfloat16 : onednn_float32, result: onednn_float32)
    }
}

/// A factor of products, `[...]`, rounded to what they compute in: once for the forward and the backward, which keeps it.
package struct Factor: Sendable {
    private enum Elements {
        case float32(Tensor)
        case bfloat16(Storage)
    }

    package let shape: Shape
    private let elements: Elements

    /// - Parameter tensor: shares its memory with the factor if that is float32.
    package init(_ tensor: Tensor, precision: ComputePrecision) {
        shape = tensor.shape
        switch (precision, precision.native) {
        case (.float32, _): elements = .float32(tensor)
        case (.bfloat16, .float32): elements = .float32(Tensor(tensor.shape, widening: tensor.bfloat16()))
        case (.bfloat16, .bfloat16): elements = .bfloat16(tensor.bfloat16())
        }
    }

    private init(_ shape: Shape, bfloat16 storage: Storage) {
        self.shape = shape
        elements = .bfloat16(storage)
    }

    /// How the elements lie in memory.
    var format: ComputePrecision {
        switch elements {
        case .float32: .float32
        case .bfloat16: .bfloat16
        }
    }

    var count: Int { shape.count }

    /// The elements, shared if they are float32, else as a copy.
    package var tensor: Tensor {
        switch elements {
        case .float32(let tensor): tensor
        case .bfloat16(let storage): Tensor(shape, widening: storage)
        }
    }

    /// The first element. Valid while the factor lives: keep it with `withExtendedLifetime`.
    var pointer: UnsafeRawPointer {
        switch elements {
        case .float32(let tensor): UnsafeRawPointer(tensor.pointer)
        case .bfloat16(let storage): UnsafeRawPointer(storage.start)
        }
    }

    /// Every so many rows and columns of maps `[N, H, W, C]`, from the first: `[N, ceil(H / step), ceil(W / step), C]`.
    func gathered(every step: Int) -> Factor {
        let (height, width, channels) = ((shape[1] + step - 1) / step, (shape[2] + step - 1) / step, shape[3])
        let result: Shape = [shape[0], height, width, channels]
        func gather<Element>(_ type: Element.Type, into target: UnsafeMutableRawPointer) {
            let source = pointer.assumingMemoryBound(to: type)
            let target = target.assumingMemoryBound(to: type)
            for pixel in 0..<shape[0] * height * width {
                let place = shape.place(ofPixel: pixel, height: height, width: width, step: step)
                (target + pixel * channels).update(from: source + place, count: channels)
            }
        }
        return withExtendedLifetime(self) {
            switch elements {
            case .float32:
                let gathered = Tensor(result) { target in
                    target.baseAddress.map { gather(Float.self, into: UnsafeMutableRawPointer($0)) }
                }
                return Factor(gathered, precision: .float32)
            case .bfloat16:
                let storage = Storage(byteCount: result.count * MemoryLayout<UInt16>.stride)
                gather(UInt16.self, into: storage.start)
                return Factor(result, bfloat16: storage)
            }
        }
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
