import Layers
import Tensors

extension ResNet {
    /// Takes the gradients of the feature maps, `[N, H, W, C]` each in the order of the maps, and adds those of the wanted
    /// parameters. What they hold outside the images counts as 0.
    ///
    /// It can be called once: it lets go of each block's tensors as soon as they have served.
    public typealias Pullback = (_ featureGradients: [Tensor], _ gradients: inout Gradients) -> Void

    /// The feature maps of a training step, and how their gradients flow back to the parameters.
    ///
    /// Tensors are kept from the lowest trained block on; nothing below it has a backward pass.
    ///
    /// - Parameters:
    ///   - images: normalised RGB, `[N, H, W, 3]`; they get no gradient.
    ///   - taps: how many of the last stages to return, as in ``callAsFunction(_:taps:)``.
    ///   - isWanted: which parameters train; ask ``Gradients`` for the same.
    ///   - statistics: gets the new running statistics of every BatchNorm that is not frozen.
    public func withPullback(
        _ images: FeatureMap, taps: Int, wanting isWanted: ParameterFilter = { _ in true },
        updating statistics: inout BatchStatistics
    ) -> (features: [FeatureMap], pullback: Pullback) {
        checkInput(images, taps: taps)
        let tape = Tape()
        var isTrained = stem.parameterNames.contains(where: isWanted)
        let (activated, stemPullback) = stem.withPullback(images, activation: .relu, updating: &statistics)
        var map: FeatureMap
        if isTrained {
            let (pooled, poolPullback) = pool.withPullback(activated)
            map = pooled
            tape.record { gradient, gradients in
                let stemGradient = poolPullback(gradient, &gradients)
                _ = stemPullback.addParameterGradients(of: stemGradient, to: &gradients)
                return nil
            }
        } else {
            map = pool(activated)
        }
        var features: [FeatureMap] = []
        for (stage, blocks) in stages.enumerated() {
            for block in blocks {
                let wantsInput = isTrained
                isTrained = isTrained || block.parameterNames.contains(where: isWanted)
                guard isTrained || normalization == .batch else {
                    map = block(FactorMap(consume map, precision: precision), result: precision.encoding).featureMap
                    continue
                }
                let (output, pullback) = block.withPullback(map, updating: &statistics)
                map = output
                if isTrained {
                    tape.record { gradient, gradients in pullback(gradient, wantsInput: wantsInput, &gradients) }
                }
            }
            if stage >= stages.count - taps {
                tape.tap(features.count, sizes: map.validSizes)
                features.append(map)
            }
        }
        return (
            features,
            { featureGradients, gradients in
                precondition(featureGradients.count == taps, "\(featureGradients.count) gradients of \(taps) maps")
                tape.run(featureGradients, &gradients)
            }
        )
    }

    /// The backward steps of one forward pass, each dropped with its tensors when it has run.
    private final class Tape {
        private struct Step {
            /// From the output's gradient to the input's, if that is wanted.
            let run: (_ gradient: Tensor, _ gradients: inout Gradients) -> Tensor?
            /// The feature map that this step has given, if it has.
            var tap: (index: Int, sizes: [ValidSize])?
        }

        private var steps: [Step] = []
        private var hasRun = false

        func record(_ run: @escaping (_ gradient: Tensor, _ gradients: inout Gradients) -> Tensor?) {
            steps.append(Step(run: run))
        }

        /// Marks the last step's output as a feature map.
        func tap(_ index: Int, sizes: [ValidSize]) {
            guard !steps.isEmpty else { return }
            steps[steps.count - 1].tap = (index, sizes)
        }

        func run(_ featureGradients: [Tensor], _ gradients: inout Gradients) {
            precondition(!hasRun, "the pullback of a ResNet can be called once")
            hasRun = true
            var gradient: Tensor?
            while let step = steps.popLast() {
                if let (index, sizes) = step.tap {
                    let arriving = featureGradients[index].withoutPadding(sizes)
                    gradient = gradient.map { $0.adding(arriving) } ?? arriving
                }
                gradient = gradient.flatMap { step.run($0, &gradients) }
            }
        }
    }
}
