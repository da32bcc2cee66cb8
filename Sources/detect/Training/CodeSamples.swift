// The generator of code images as a source of samples without end.

import CodeImages
import Synchronization
import Training

/// Generated images of machine-readable codes: new ones in every epoch.
///
/// Drawing an image takes longer than learning from it, so each serves several times: a block of images comes `useCount` times,
/// each time augmented otherwise, before the next block.
final class CodeSamples: SampleSource {
    let sampleCount: Int
    let classNames = CodeKind.allCases.map(\.rawValue)
    private let generator: CodeImageGenerator
    private let useCount: Int
    /// Images in a block; they stay in memory.
    private let blockSize: Int
    /// Images of the blocks in use, by number.
    private let images = Mutex<[Int: LabelledImage]>([:])

    /// Bytes that the images of two blocks, the one in use and the one before, may take.
    private static let memory = 1 << 30

    /// - Parameters:
    ///   - sampleCount: samples that are called an epoch.
    ///   - useCount: how often each image serves.
    init(_ generator: CodeImageGenerator, sampleCount: Int, useCount: Int) {
        self.generator = generator
        self.sampleCount = sampleCount
        self.useCount = useCount
        let side = generator.options.longerSide.upperBound
        blockSize = min(max(Self.memory / (2 * side * side * 3), 16), 256)
    }

    func sample(epoch: Int, position: Int) throws -> LabelledImage {
        let sample = epoch * sampleCount + position
        let (use, place) = sample.quotientAndRemainder(dividingBy: blockSize)
        let block = use / useCount
        // In another order at each use, so that other images share a batch.
        let order = Permutation(count: blockSize, seed: UInt64(bitPattern: Int64(use)))
        let number = block * blockSize + order[place]
        if let known = images.withLock({ $0[number] }) { return known }
        let (image, annotations) = try generator.image(number)
        let made = LabelledImage(
            image: image,
            objects: annotations.filter { !$0.isIgnored }.map { code in
                LabelledImage.Object(classID: CodeKind.allCases.firstIndex(of: code.kind) ?? 0, box: code.box)
            }, name: "generated image \(number)")
        if useCount > 1 {
            images.withLock { images in
                images[number] = made
                // Other threads may still be at the end of the block before.
                if images.count > 2 * blockSize {
                    images = images.filter { $0.key >= (block - 1) * blockSize }
                }
            }
        }
        return made
    }
}
