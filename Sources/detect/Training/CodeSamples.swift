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
    /// Images of the blocks in use, by number.
    private let images = Mutex<[Int: LabelledImage]>([:])

    /// Images in a block; they stay in memory.
    private static let blockSize = 256

    /// - Parameters:
    ///   - sampleCount: samples that are called an epoch.
    ///   - useCount: how often each image serves.
    init(_ generator: CodeImageGenerator, sampleCount: Int, useCount: Int) {
        self.generator = generator
        self.sampleCount = sampleCount
        self.useCount = useCount
    }

    func sample(epoch: Int, position: Int) throws -> LabelledImage {
        let sample = epoch * sampleCount + position
        let block = sample / (Self.blockSize * useCount)
        let number = block * Self.blockSize + sample % Self.blockSize
        if let known = images.withLock({ $0[number] }) { return known }
        let (image, annotations) = try generator.image(number)
        let made = LabelledImage(
            image: image,
            objects: annotations.map { code in
                LabelledImage.Object(classID: CodeKind.allCases.firstIndex(of: code.kind) ?? 0, box: code.box)
            })
        if useCount > 1 {
            images.withLock { images in
                images[number] = made
                // Other threads may still be at the end of the block before.
                if images.count > 2 * Self.blockSize {
                    images = images.filter { $0.key >= (block - 1) * Self.blockSize }
                }
            }
        }
        return made
    }
}
