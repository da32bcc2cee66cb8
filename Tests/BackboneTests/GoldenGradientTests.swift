import Backbone
import Checkpoint
import Foundation
import Layers
import TestSupport
import Tensors
import Testing

/// Small ResNets, forward and backward, against torchvision's modules and PyTorch's autograd.
///
/// Made by `tools/golden_backbone_gradients.py` (torch 2.15.0) in float64, all parameters and statistics random.
@Suite struct GoldenGradientTests {
    static let cases = [
        "basic-frozen", "basic-batch", "bottleneck-frozen", "bottleneck-batch", "dilated-frozen", "dilated-batch",
    ]

    /// What a file's `configuration` says.
    private struct Setting: Decodable {
        let block: ResNetConfiguration.Block
        let depths: [Int]
        let stemWidth: Int
        let widths: [Int]
        let dilatesLastStage: Bool
        let normalization: String
        let taps: Int
    }

    /// A file of the `Golden` folder and its network.
    private struct Case {
        let file: WeightFile
        let configuration: ResNetConfiguration
        let normalization: Normalization
        let taps: Int

        init(_ name: String) throws {
            let setting: Setting
            (file, setting) = try Fixture.open("resnet-\(name).safetensors", configuration: Setting.self)
            configuration = ResNetConfiguration(
                block: setting.block, depths: setting.depths, stemWidth: setting.stemWidth, widths: setting.widths,
                dilatesLastStage: setting.dilatesLastStage)
            normalization = setting.normalization == "batch" ? .batch : .frozen
            taps = setting.taps
        }

        func network(_ normalization: Normalization? = nil) throws -> ResNet {
            try ResNet(
                WeightCursor(file), configuration: configuration, normalization: normalization ?? self.normalization)
        }

        var images: FeatureMap { get throws { FeatureMap(values: try file.tensor("images")) } }

        var featureGradients: [Tensor] {
            get throws { try (0..<taps).map { try file.tensor("feature_gradient.\($0)") } }
        }

        /// The names of what the file expects under a prefix, without the prefix.
        func names(under prefix: String) -> [String] {
            file.names.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }.sorted()
        }

        func gradients(wanting isWanted: @escaping ParameterFilter = { _ in true }) throws -> Gradients {
            var statistics = BatchStatistics()
            var gradients = Gradients(wanting: isWanted)
            let (_, pullback) = try network().withPullback(
                images, taps: taps, wanting: isWanted, updating: &statistics)
            pullback(try featureGradients, &gradients)
            return gradients
        }
    }

    @Test func everyFileIsTested() throws {
        let folder = URL(fileURLWithPath: Fixture.path("")).path
        let files = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasPrefix("resnet-") }
        #expect(files.sorted() == Self.cases.map { "resnet-\($0).safetensors" }.sorted())
    }

    /// Features, running statistics and the gradient of every parameter; float32 sums make the difference.
    @Test(arguments: cases) func agreesWithPyTorch(name: String) throws {
        let golden = try Case(name)
        var statistics = BatchStatistics()
        let (features, pullback) = try golden.network().withPullback(
            golden.images, taps: golden.taps, updating: &statistics)
        #expect(features.count == golden.taps)
        for (index, feature) in features.enumerated() {
            #expect(relativeError(feature.values, try golden.file.tensor("expected.feature.\(index)")) < 1e-5)
        }
        #expect(statistics.names == golden.names(under: "expected.statistics."))
        for name in statistics.names {
            let expected = try golden.file.tensor("expected.statistics.\(name)")
            #expect(relativeError(try #require(statistics[name]), expected) < 1e-6, "\(name)")
        }

        var gradients = Gradients()
        pullback(try golden.featureGradients, &gradients)
        #expect(gradients.names == golden.names(under: "expected.gradient."))
        for name in gradients.names {
            let expected = try golden.file.tensor("expected.gradient.\(name)")
            let error = relativeError(try #require(gradients[name]), expected)
            #expect(error < 2e-5, "\(name): \(error)")
        }
    }

    /// A network that was built to train gives what the folded one gives.
    @Test(arguments: cases) func bothFormsInferAlike(name: String) throws {
        let golden = try Case(name)
        let folded = try golden.network(.frozen)(golden.images, taps: golden.taps)
        let trainable = try golden.network(.batch)(golden.images, taps: golden.taps)
        for (folded, trainable) in zip(folded, trainable) {
            #expect(relativeError(trainable.values, folded.values) < 1e-5)
        }
    }

    /// Frozen parameters get no gradients, and those of the others stay the same to the last bit.
    @Test(
        arguments: cases,
        [["conv1", "bn1", "layer1"], ["layer2"], ["conv1", "layer1", "layer2", "layer3.0"], ["layer", "conv", "bn"]])
    func leavesOutWhatIsFrozen(name: String, frozen: [String]) throws {
        let golden = try Case(name)
        let isTrained: ParameterFilter = { name in !frozen.contains { name.hasPrefix($0) } }
        let all = try golden.gradients()
        let some = try golden.gradients(wanting: isTrained)
        #expect(some.names == all.names.filter(isTrained))
        for name in some.names { #expect(some[name]?.elements == all[name]?.elements, "\(name)") }
    }

    /// In a padded batch each image adds the gradients that it has alone, whatever the padding holds.
    @Test(arguments: ["basic-frozen", "bottleneck-frozen", "dilated-frozen"]) func ignoresPadding(name: String) throws {
        let golden = try Case(name)
        var random = SeededGenerator(seed: 31)
        let sizes = [ValidSize(height: 29, width: 36), ValidSize(height: 37, width: 20)]
        let batch = FeatureMap(values: random.tensor([2, 37, 36, 3], in: -2...2), validSizes: sizes)
        var statistics = BatchStatistics()
        let (features, pullback) = try golden.network().withPullback(
            batch, taps: golden.taps, updating: &statistics)
        let featureGradients = features.map { random.tensor($0.values.shape) }
        var together = Gradients()
        pullback(featureGradients, &together)

        var alone = Gradients()
        for (image, size) in sizes.enumerated() {
            let (parts, pullback) = try golden.network().withPullback(
                FeatureMap(values: batch.values.part(image: image, height: size.height, width: size.width)),
                taps: golden.taps,
                updating: &statistics)
            for (part, feature) in zip(parts, features) {
                let valid = feature.values.part(
                    image: image, height: feature.validSizes[image].height, width: feature.validSizes[image].width)
                #expect(relativeError(part.values, valid) < 1e-5)
            }
            pullback(
                zip(featureGradients, features).map {
                    $0.part(image: image, height: $1.validSizes[image].height, width: $1.validSizes[image].width)
                }, &alone)
        }
        #expect(together.names == alone.names && !alone.names.isEmpty)
        for name in alone.names {
            #expect(relativeError(try #require(together[name]), try #require(alone[name])) < 1e-4, "\(name)")
        }
    }

    /// A step repeats to the last bit, as resuming a training needs.
    @Test(arguments: cases) func repeatsExactly(name: String) throws {
        let golden = try Case(name)
        let (first, second) = (try golden.gradients(), try golden.gradients())
        for name in first.names { #expect(first[name]?.elements == second[name]?.elements, "\(name)") }
    }
}
