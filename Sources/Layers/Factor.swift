import CKernels
import Tensors

/// A factor of products, `[...]`, rounded to what they compute in: once for the forward and the backward, which keeps it.
package struct Factor: Sendable {
    package let shape: Shape
    /// How the elements lie in memory.
    package private(set) var encoding: Encoding
    private var storage: Storage
    /// Where the first element lies in the storage.
    private var byteOffset = 0

    /// - Parameter tensor: shares its memory with the factor if that is float32.
    package init(_ tensor: consuming Tensor, precision: ComputePrecision) {
        shape = tensor.shape
        encoding = precision.encoding
        switch (precision, encoding.element) {
        case (.bfloat16, .float32): (storage, byteOffset) = Tensor(shape, widening: tensor.bfloat16()).memory
        case (.bfloat16, _): storage = tensor.bfloat16()
        default: (storage, byteOffset) = tensor.memory
        }
    }

    /// - Parameter tensor: shares its memory with the factor if that is float32.
    package init(_ tensor: consuming Tensor, encoding: Encoding) {
        shape = tensor.shape
        self.encoding = encoding
        switch encoding.element {
        case .float32: (storage, byteOffset) = tensor.memory
        case .bfloat16: storage = tensor.bfloat16()
        case .uint8, .int8: storage = tensor.wholeNumbers(encoding)
        }
    }

    /// What a layer multiplies.
    ///
    /// - Parameters:
    ///   - precision: the layer's. Bfloat16 rounds also where the processor multiplies the rounded numbers as float32.
    ///   - encoding: of the layer's input.
    init(_ tensor: consuming Tensor, precision: ComputePrecision, encoding: Encoding) {
        if precision == .bfloat16 {
            self.init(tensor, precision: precision)
        } else {
            self.init(tensor, encoding: encoding)
        }
    }

    /// The same values in another encoding; shared if it is their own.
    package func converted(to encoding: Encoding) -> Factor {
        encoding == self.encoding ? self : Factor(tensor, encoding: encoding)
    }

    /// The same memory to be written as another encoding of the same size.
    consuming func reused(for encoding: Encoding) -> Factor {
        precondition(encoding.size == self.encoding.size, "\(self.encoding) reused for \(encoding)")
        self.encoding = encoding
        return self
    }

    /// A tensor's elements as they are, so that its memory can become a result's; nil for none.
    package static func floats(_ tensor: consuming Tensor?) -> Factor? {
        switch consume tensor {
        case .some(let tensor): Factor(tensor, precision: .float32)
        case .none: nil
        }
    }

    /// Uninitialised elements: for a caller that writes every one of them next.
    package init(uninitialized shape: Shape, encoding: Encoding) {
        self.shape = shape
        self.encoding = encoding
        storage = Storage(byteCount: shape.count * encoding.size)
    }

    package var count: Int { shape.count }

    /// The elements, shared if they are float32, else as a copy.
    package var tensor: Tensor {
        switch encoding.element {
        case .float32: Tensor(shape, storage: storage, byteOffset: byteOffset)
        case .bfloat16: Tensor(shape, widening: storage)
        case .uint8, .int8: Tensor(shape, wholeNumbers: storage, encoding)
        }
    }

    /// The first element. Valid while the factor lives: keep it with `withExtendedLifetime`.
    package var pointer: UnsafeRawPointer { UnsafeRawPointer(storage.start + byteOffset) }

    /// Calls `body` with the first element; copies the elements first if another factor shares them.
    package mutating func withMutableBytes<Result>(_ body: (UnsafeMutableRawPointer) -> Result) -> Result {
        if !isKnownUniquelyReferenced(&storage) || !storage.isWritable {
            let copy = Storage(byteCount: count * encoding.size)
            copy.start.copyMemory(from: pointer, byteCount: copy.byteCount)
            (storage, byteOffset) = (copy, 0)
        }
        return withExtendedLifetime(storage) { body(storage.start + byteOffset) }
    }

    /// Every so many rows and columns of maps `[N, H, W, C]`, from the first: `[N, ceil(H / step), ceil(W / step), C]`.
    func gathered(every step: Int) -> Factor {
        let (height, width, channels) = ((shape[1] + step - 1) / step, (shape[2] + step - 1) / step, shape[3])
        var gathered = Factor(uninitialized: [shape[0], height, width, channels], encoding: encoding)
        let pixelSize = channels * encoding.size
        withExtendedLifetime(self) {
            gathered.withMutableBytes { target in
                for pixel in 0..<shape[0] * height * width {
                    let place = shape.place(ofPixel: pixel, height: height, width: width, step: step)
                    (target + pixel * pixelSize)
                        .copyMemory(from: pointer + place * encoding.size, byteCount: pixelSize)
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

    /// The elements in steps, rounded to the nearest whole number and clamped.
    fileprivate func wholeNumbers(_ encoding: Encoding) -> Storage {
        let storage = Storage(byteCount: count)
        withExtendedLifetime((self, storage)) {
            Parallel.forRanges(count, minimumPerThread: 1 << 15) { range in
                encoding.round(pointer + range.lowerBound, count: range.count, into: storage.start + range.lowerBound)
            }
        }
        return storage
    }

    /// From whole numbers.
    fileprivate init(_ shape: Shape, wholeNumbers storage: Storage, _ encoding: Encoding) {
        self.init(shape) { result in
            guard let target = result.baseAddress else { return }
            withExtendedLifetime(storage) {
                Parallel.forRanges(shape.count, minimumPerThread: 1 << 15) { range in
                    let source = storage.start + range.lowerBound
                    let (count, target) = (Int64(range.count), target + range.lowerBound)
                    if encoding.element == .int8 {
                        int8_widen(count, encoding.step, source.assumingMemoryBound(to: Int8.self), target)
                    } else {
                        uint8_widen(count, encoding.step, source.assumingMemoryBound(to: UInt8.self), target)
                    }
                }
            }
        }
    }
}

extension Encoding {
    /// Writes values in this encoding, on the thread that calls it; the caller answers for the memory.
    func round(_ values: UnsafePointer<Float>, count: Int, into target: UnsafeMutableRawPointer) {
        let number = Int64(count)
        switch element {
        case .float32: target.copyMemory(from: values, byteCount: count * size)
        case .bfloat16: bfloat16_round(number, values, target.assumingMemoryBound(to: UInt16.self))
        case .uint8: uint8_round(number, 1 / step, values, target.assumingMemoryBound(to: UInt8.self))
        case .int8: int8_round(number, 1 / step, values, target.assumingMemoryBound(to: Int8.self))
        }
    }
}
