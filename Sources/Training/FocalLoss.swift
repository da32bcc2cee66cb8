// What the class logits of a whole batch cost.

import CKernels
import Tensors

/// The sigmoid focal loss with exponent 2.
///
/// With p = sigmoid(logit), a query's column of the true class costs `alpha (1 - p)^2 (-ln p)`, every other logit
/// `(1 - alpha) p^2 (-ln(1 - p))`. Any finite logit gives a finite loss and gradient.
///
/// - Source: "Focal Loss for Dense Object Detection" (arXiv 1708.02002); `sigmoid_focal_loss` in `models/segmentation.py` of
///   fundamentalvision/Deformable-DETR, whose exponent is fixed.
struct FocalLoss: Sendable, Hashable {
    var alpha = 0.25

    /// Logits that a thread takes at once; fixed, so that sums do not depend on the number of threads.
    private static let blockSize = 1 << 13
    /// 100 microseconds: less is not worth waking a thread for.
    private static let blocksPerThread = 10

    /// - Parameters:
    ///   - logits: any shape, finite.
    ///   - positives: the numbers in memory order of the logits of true classes, ascending.
    ///   - scale: what the gradient is multiplied by.
    /// - Returns: the sum of all losses, and its scaled gradient, shaped as the logits.
    func callAsFunction(_ logits: Tensor, positives: [Int], scale: Double) -> (sum: Double, gradient: Tensor) {
        let blocks = (logits.count + Self.blockSize - 1) / Self.blockSize
        var sums = [Double](repeating: 0, count: blocks)
        // Where each block's positives begin, and the end.
        var firstPositive = [Int](repeating: 0, count: blocks + 1)
        for positive in positives { firstPositive[positive / Self.blockSize + 1] += 1 }
        for block in 0..<blocks { firstPositive[block + 1] += firstPositive[block] }
        let gradient = Tensor(logits.shape) { gradient in
            logits.withElements { logits in
                sums.withUnsafeMutableBufferPointer { sums in
                    Parallel.forRanges(blocks, minimumPerThread: Self.blocksPerThread) { range in
                        for block in range {
                            let start = block * Self.blockSize
                            let end = min(start + Self.blockSize, logits.count)
                            let local = positives[firstPositive[block]..<firstPositive[block + 1]].map {
                                Int64($0 - start)
                            }
                            guard let source = logits.baseAddress, let target = gradient.baseAddress else { return }
                            sums[block] = focal_loss(
                                Int64(end - start), source + start, Int64(local.count), local, Float(alpha),
                                Float(scale), target + start)
                        }
                    }
                }
            }
        }
        return (sums.reduce(0, +), gradient)
    }
}
