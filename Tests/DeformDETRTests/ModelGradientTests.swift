import Checkpoint
import DeformDETR
import Layers
import TestSupport
import Tensors
import Testing

/// The gradient of every parameter of tiny models.
@Suite struct ModelGradientTests {
    /// A case of `Golden/gradients`, made by `tools/golden_training.py` (transformers 5.23.0, torch 2.15.0, timm 1.0.31): what
    /// autograd gives in float64 for the model of the same name beside the folder.
    struct Case {
        let golden: GoldenModelTests.Golden
        let file: WeightFile
        let parameters: TensorDictionary

        init(_ name: String) throws {
            golden = try GoldenModelTests.Golden(name)
            file = try WeightFile.open(Fixture.path("gradients/\(name).safetensors"))
            var parameters = TensorDictionary()
            for tensor in golden.configuration.tensors {
                parameters[tensor.name] = try golden.file.tensor(tensor.name)
            }
            self.parameters = parameters
        }

        func model(_ parameters: TensorDictionary? = nil) throws -> DeformableDETR {
            try DeformableDETR(
                WeightCursor(parameters ?? self.parameters), configuration: golden.configuration)
        }

        /// The images without their padding; where the model's file has one, a mirrored part of it is the second.
        func images() throws -> [Tensor] {
            let images = try golden.images()
            guard images.count == 1 else { return images }
            let (height, width) = (images[0].shape[1], images[0].shape[2])
            let values = images[0].elements
            let mirrored = Tensor([1, height - 10, width - 12, 3]) { output in
                var index = 0
                for row in 0..<height - 10 {
                    for column in 0..<width - 12 {
                        for channel in 0..<3 {
                            output[index] = values[(row * width + width - 1 - column) * 3 + channel]
                            index += 1
                        }
                    }
                }
            }
            return [images[0], mirrored]
        }

        /// `output`, or `upstream`: a random gradient of it.
        func outputs(_ kind: String) throws -> TrainingOutput {
            let logits = try file.tensor("\(kind).logits")
            let boxes = try file.tensor("\(kind).boxes")
            func layer(_ index: Int, of tensor: Tensor) -> Tensor {
                tensor.rows(index..<index + 1).reshaped(Shape(Array(tensor.shape.dimensions.dropFirst())))
            }
            return TrainingOutput(
                layers: (0..<logits.shape[0]).map {
                    Predictions(logits: layer($0, of: logits), boxes: layer($0, of: boxes))
                },
                proposals: golden.configuration.twoStage
                    ? Predictions(
                        logits: try file.tensor("\(kind).proposals.logits"),
                        boxes: try file.tensor("\(kind).proposals.boxes")) : nil)
        }

        func pass(
            _ images: [Tensor], paddingRule: ImageBatch.PaddingRule = .excluded, parameters: TensorDictionary? = nil,
            options: TrainingOptions = TrainingOptions(dropout: .none, seed: 0)
        ) throws -> (output: TrainingOutput, pullback: (TrainingOutput, inout Gradients) -> Void) {
            var statistics = BatchStatistics()
            defer { #expect(statistics.names.isEmpty, "frozen norms have no new statistics") }
            return try model(parameters).withPullback(
                ImageBatch(images, paddingRule: paddingRule), options: options, updating: &statistics)
        }

        func gradients(
            _ images: [Tensor], paddingRule: ImageBatch.PaddingRule = .excluded, upstream: TrainingOutput,
            options: TrainingOptions = TrainingOptions(dropout: .none, seed: 0)
        ) throws -> (output: TrainingOutput, gradients: Gradients) {
            let (output, pullback) = try pass(images, paddingRule: paddingRule, options: options)
            var gradients = Gradients()
            pullback(upstream, &gradients)
            return (output, gradients)
        }
    }

    static let names = ["base-bottleneck", "single-scale", "single-scale-dc5", "refine", "padded-batch-two-stage"]

    /// Outputs of all layers and every gradient, on a padded batch as the reference treats it.
    ///
    /// In float32 1e-3 of a tensor's largest element is asked for; measured are 6e-5 at most.
    @Test(arguments: names + ["five-levels-basic"]) func everyGradientAgreesWithAutograd(name: String) throws {
        let sample = try Case(name)
        let (output, gradients) = try sample.gradients(
            sample.images(), paddingRule: .asInReference, upstream: sample.outputs("upstream"))
        for (actual, expected) in zip(output.tensors, try sample.outputs("output").tensors) {
            #expect(relativeError(actual, expected) < 1e-4)
        }
        let prefix = "gradient."
        let expected = sample.file.names.filter { $0.hasPrefix(prefix) }
        #expect(Set(gradients.names) == Set(expected.map { String($0.dropFirst(prefix.count)) }))
        let largest = try expected.reduce(0) { try max($0, Self.largest(sample.file.tensor($1))) }
        for name in expected {
            let gradient = try #require(gradients[String(name.dropFirst(prefix.count))])
            let reference = try sample.file.tensor(name)
            // Some gradients are exactly 0, like those of a bias that a norm of one channel a group takes away again.
            if Self.largest(reference) < 1e-9 * largest {
                #expect(Self.largest(gradient) < 1e-5 * largest, "\(name)")
            } else {
                #expect(relativeError(Self.thinned(gradient), reference) < 1e-3, "\(name)")
            }
        }
    }

    /// By default padding does not show in gradients either: those of a batch are those of its images alone, added up.
    ///
    /// Where a GroupNorm sees a few pixels only, as the last of five levels, it magnifies rounding up to 300 times: 2e-4, and 8e-4 with
    /// AVX2 alone.
    @Test(arguments: ["base-bottleneck", "single-scale", "single-scale-dc5", "refine", "five-levels-basic"])
    func batchSumsItsImages(name: String) throws {
        let sample = try Case(name)
        let images = try sample.images()
        let upstream = try sample.outputs("upstream")
        let (output, together) = try sample.gradients(images, upstream: upstream)
        var sum = Gradients()
        for (index, image) in images.enumerated() {
            func alone(_ output: TrainingOutput) -> TrainingOutput {
                TrainingOutput(
                    layers: output.layers.map {
                        Predictions(logits: $0.logits.rows(index..<index + 1), boxes: $0.boxes.rows(index..<index + 1))
                    }, proposals: nil)
            }
            let (outputAlone, gradients) = try sample.gradients([image], upstream: alone(upstream))
            for (actual, expected) in zip(alone(output).tensors, outputAlone.tensors) {
                #expect(relativeError(actual, expected) < 1e-4)
            }
            for name in gradients.names { sum.add(try #require(gradients[name]), to: name) }
        }
        #expect(together.names == sum.names)
        let largest = try sum.names.reduce(0) { max($0, Self.largest(try #require(sum[$1]))) }
        for name in sum.names where Self.largest(try #require(sum[name])) > 1e-5 * largest {
            #expect(relativeError(try #require(together[name]), try #require(sum[name])) < 2e-3, "\(name)")
        }
        let (_, padded) = try sample.gradients(images, paddingRule: .asInReference, upstream: upstream)
        let levels = "transformer.level_embed"
        #expect(relativeError(try #require(padded[levels]), try #require(together[levels])) > 1e-3)
    }

    /// Along a random direction the loss changes by the gradient's share of it; with dropout, whose choice the seed fixes.
    ///
    /// The loss is a sum of float32 outputs and has kinks (ReLU, bilinear shares), hence 2% for the difference quotient. A
    /// GroupNorm of one pixel (`five-levels-basic`) bends too much within a step that float32 can resolve.
    @Test(arguments: names, [TrainingOptions.DropoutRates.none, .published])
    func lossChangesByTheGradient(name: String, rates: TrainingOptions.DropoutRates) throws {
        let sample = try Case(name)
        let images = try sample.images()
        let options = TrainingOptions(dropout: rates, seed: 17)
        var random = SeededGenerator(seed: 18)
        let (first, _) = try sample.pass(images, options: options)
        let upstream = first.map { random.tensor($0.shape) }
        let (_, gradients) = try sample.gradients(images, upstream: upstream, options: options)
        func loss(_ parameters: TensorDictionary) throws -> Double {
            let (output, _) = try sample.pass(images, parameters: parameters, options: options)
            return zip(output.tensors, upstream.tensors).reduce(0) { sum, pair in
                zip(pair.0.elements, pair.1.elements).reduce(sum) { $0 + Double($1.0) * Double($1.1) }
            }
        }
        // Boxes that refinement hands on, and proposals, count as numbers in the gradient but not in the loss: those models are
        // moved only where no later layer sees it.
        let names = gradients.names.filter { name in
            guard sample.golden.configuration.refinement else { return true }
            let last = sample.golden.configuration.decoderLayers - 1
            return name.hasPrefix("transformer.decoder.layers.\(last).") || name.hasPrefix("class_embed.\(last).")
                || name.hasPrefix("bbox_embed.\(last).")
        }
        #expect(names.count > 10)
        // Along the gradient itself, by whole tensors, so that the change is large beside rounding.
        let norm = try names.reduce(0.0) { sum, name in
            try #require(gradients[name]).elements.reduce(sum) { $0 + Double($1) * Double($1) }
        }.squareRoot()
        func moved(_ distance: Double) throws -> TensorDictionary {
            var parameters = sample.parameters
            for name in names {
                let gradient = try #require(gradients[name]).elements
                let tensor = try sample.parameters.tensor(name)
                parameters[name] = Tensor(
                    tensor.shape,
                    zip(tensor.elements, gradient).map { Float(Double($0) + distance * Double($1) / norm) })
            }
            return parameters
        }
        let step = 1e-3
        let quotient = (try loss(moved(step)) - loss(moved(-step))) / (2 * step)
        #expect(abs(quotient / norm - 1) < 0.02, "\(quotient) for \(norm)")
    }

    /// Without dropout a pass for training gives what inference gives; with it, one seed always gives the same.
    @Test(arguments: names) func passesAgree(name: String) throws {
        let sample = try Case(name)
        let images = try sample.images()
        let upstream = try sample.pass(images).output
        let inferred = try sample.model()(ImageBatch(images))
        let last = try #require(upstream.layers.last)
        #expect(relativeError(last.logits, inferred.logits) < 1e-6)
        #expect(relativeError(last.boxes, inferred.boxes) < 1e-6)

        func seeded(_ seed: UInt64) throws -> (output: TrainingOutput, gradients: Gradients) {
            try sample.gradients(images, upstream: upstream, options: TrainingOptions(seed: seed))
        }
        let (once, again, other) = (try seeded(1), try seeded(1), try seeded(2))
        #expect(zip(once.output.tensors, again.output.tensors).allSatisfy { $0.elements == $1.elements })
        #expect(once.gradients.names.allSatisfy { once.gradients[$0]?.elements == again.gradients[$0]?.elements })
        #expect(once.output.layers[0].logits.elements != other.output.layers[0].logits.elements)
    }

    /// Parameters that nobody wants cost nothing and get nothing; the others' gradients don't change.
    @Test func onlyWantedParametersGetGradients() throws {
        let sample = try Case("padded-batch-two-stage")
        let (_, all) = try sample.gradients(sample.images(), upstream: sample.outputs("upstream"))
        let isWanted: ParameterFilter = {
            $0.hasPrefix("backbone.0.body.layer3") || $0.contains("bias") && !$0.contains("encoder")
        }
        let (_, pullback) = try sample.pass(
            sample.images(), options: TrainingOptions(dropout: .none, seed: 0, training: isWanted))
        var some = Gradients(wanting: isWanted)
        pullback(try sample.outputs("upstream"), &some)
        #expect(some.names == all.names.filter(isWanted))
        for name in some.names { #expect(some[name]?.elements == all[name]?.elements, "\(name)") }
    }

    /// The absolute value of the largest element.
    private static func largest(_ tensor: Tensor) -> Float { tensor.elements.reduce(0) { max($0, abs($1)) } }

    /// Golden files hold about a fifth of the elements of large tensors, chosen by a multiplicative hash of their place.
    private static func thinned(_ tensor: Tensor) -> Tensor {
        guard tensor.count > 1000 else { return tensor }
        let kept = tensor.elements.enumerated().compactMap { index, element in
            UInt32(truncatingIfNeeded: index) &* 2_654_435_761 < 858_993_459 ? element : nil
        }
        return Tensor([kept.count], kept)
    }
}

extension TrainingOutput {
    func map(_ transform: (Tensor) -> Tensor) -> TrainingOutput {
        func both(_ predictions: Predictions) -> Predictions {
            Predictions(logits: transform(predictions.logits), boxes: transform(predictions.boxes))
        }
        return TrainingOutput(layers: layers.map(both), proposals: proposals.map(both))
    }

    /// All of them, in one order.
    var tensors: [Tensor] { (layers + [proposals].compactMap { $0 }).flatMap { [$0.logits, $0.boxes] } }
}
