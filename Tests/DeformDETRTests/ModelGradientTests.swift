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

        func gradients(
            _ images: [Tensor], paddingRule: ImageBatch.PaddingRule = .excluded, upstream: TrainingOutput,
            options: TrainingOptions = TrainingOptions(dropout: .none, seed: 0)
        ) throws -> (output: TrainingOutput, gradients: Gradients) {
            let (output, pullback) = try model().withPullback(
                ImageBatch(images, paddingRule: paddingRule), options: options)
            var gradients = Gradients()
            pullback(upstream, &gradients)
            return (output, gradients)
        }
    }

    static let names = ["base-bottleneck", "single-scale", "single-scale-dc5", "refine", "padded-batch-two-stage"]

    /// Outputs of all layers and every gradient, on a padded batch as the reference treats it.
    ///
    /// In float32 1e-3 of a tensor's largest element is asked for; measured are 3e-5 at most.
    @Test(arguments: names) func everyGradientAgreesWithAutograd(name: String) throws {
        let sample = try Case(name)
        let (output, gradients) = try sample.gradients(
            sample.images(), paddingRule: .asInReference, upstream: sample.outputs("upstream"))
        for (actual, expected) in zip(output.tensors, try sample.outputs("output").tensors) {
            #expect(relativeError(actual, expected) < 1e-4)
        }
        let prefix = "gradient."
        let expected = sample.file.names.filter { $0.hasPrefix(prefix) && !Self.isBelowTransformer($0) }
        #expect(
            Set(gradients.names.filter { !Self.isBelowTransformer($0) })
                == Set(expected.map { String($0.dropFirst(prefix.count)) }))
        var worst: (Float, String) = (0, "")
        for name in expected {
            let gradient = try #require(gradients[String(name.dropFirst(prefix.count))])
            let error = relativeError(Self.thinned(gradient), try sample.file.tensor(name))
            if error > worst.0 { worst = (error, name) }
            #expect(error < 1e-3, "\(name)")
        }
        print(name, worst)
    }

    private static func isBelowTransformer(_ name: String) -> Bool {
        name.contains("backbone.") || name.contains("input_proj.")
    }

    /// Golden files hold every third element of large tensors.
    private static func thinned(_ tensor: Tensor) -> Tensor {
        guard tensor.count > 1000 else { return tensor }
        let kept = stride(from: 0, to: tensor.count, by: 3).map { tensor.elements[$0] }
        return Tensor([kept.count], kept)
    }
}

extension TrainingOutput {
    /// All of them, in one order.
    var tensors: [Tensor] { (layers + [proposals].compactMap { $0 }).flatMap { [$0.logits, $0.boxes] } }
}
