// Losses and their gradients against PyTorch's autograd (tools/golden_training_losses.py, torch 2.15.0, transformers 5.23.0).

import Boxes
import Checkpoint
import DeformDETR
import TestSupport
import Tensors
import Testing
import Training

@Suite struct CriterionGoldenTests {
    static let cases = [
        "one", "small", "batch", "six layers", "an image without objects", "no objects", "more objects than queries",
        "as many objects as queries", "extreme logits", "ties", "flat boxes", "confident", "two-stage",
        "two-stage, no objects", "91 classes", "wide",
    ]
    /// transformers' loss gives up where there are no objects and gives NaN for boxes without any area.
    static let huggingFaceCases = cases.filter { !["no objects", "flat boxes", "two-stage, no objects"].contains($0) }

    @Test(arguments: cases) func publishedLossIsPyTorchs(name: String) throws {
        try compare(name, .published, preset: "published")
    }

    @Test(arguments: huggingFaceCases) func huggingFacesLossIsTransformers(name: String) throws {
        try compare(name, .huggingFace, preset: "huggingFace")
    }

    private func compare(_ name: String, _ criterion: Criterion, preset: String) throws {
        let golden = try WeightFile.open(Fixture.path("losses.safetensors"))
        let (output, targets) = try input(golden, name)
        let loss = try criterion(output, targets: targets)

        // The reference computes in float64 and stores float32; the class losses here are float32 functions of each logit.
        let tolerance = 1e-6
        func close(_ found: Double, _ expected: Float) -> Bool {
            abs(found - Double(expected)) <= tolerance * abs(Double(expected))
        }
        let prefix = "\(name)/\(preset)/"
        let expected = golden.names.filter { $0.hasPrefix(prefix + "loss_") }
        #expect(Set(loss.namedTerms.map { prefix + $0.name }) == Set(expected))
        for (term, value) in loss.namedTerms {
            let reference = try golden.tensor(prefix + term).elements[0]
            #expect(close(value, reference), "\(term): \(value), expected \(reference)")
        }
        let total = try golden.tensor(prefix + "total").elements[0]
        #expect(close(loss.total, total), "\(loss.total), expected \(total)")

        var parts = loss.gradient.layers.enumerated().map { ("\($0)", $1) }
        if let proposals = loss.gradient.proposals { parts.append(("enc", proposals)) }
        for (part, gradient) in parts {
            for (kind, found) in [("logits", gradient.logits), ("boxes", gradient.boxes)] {
                // What does not count has no gradient in the file.
                let stored = "\(prefix)d_\(kind).\(part)"
                let reference =
                    golden.shape(of: stored) == nil ? Tensor(found.shape) : try golden.tensor(stored)
                #expect(relativeError(found, reference) <= 1e-5, "\(kind) of \(part)")
            }
        }
    }

    private func input(_ golden: WeightFile, _ name: String) throws -> (TrainingOutput, [Targets]) {
        func predictions(_ part: String) throws -> Predictions {
            Predictions(
                logits: try golden.tensor("\(name)/logits.\(part)"), boxes: try golden.tensor("\(name)/boxes.\(part)"))
        }
        let layers = golden.names.count { $0.hasPrefix("\(name)/logits.") && !$0.hasSuffix("enc") }
        try #require(layers > 0)
        let output = TrainingOutput(
            layers: try (0..<layers).map { try predictions("\($0)") },
            proposals: golden.shape(of: "\(name)/logits.enc") == nil ? nil : try predictions("enc"))
        let targets = try (0..<output.layers[0].logits.shape[0]).map { image in
            guard golden.shape(of: "\(name)/labels.\(image)") != nil else { return Targets(classIDs: [], boxes: []) }
            let boxes = try golden.tensor("\(name)/truth.\(image)").elements
            return Targets(
                classIDs: try golden.tensor("\(name)/labels.\(image)").elements.map { Int($0) },
                boxes: stride(from: 0, to: boxes.count, by: 4).map {
                    CenterBox(centerX: boxes[$0], centerY: boxes[$0 + 1], width: boxes[$0 + 2], height: boxes[$0 + 3])
                })
        }
        return (output, targets)
    }
}
