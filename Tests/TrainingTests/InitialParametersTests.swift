// What a training starts from: the published distributions, and parts of other checkpoints.

import Backbone
import Checkpoint
import DeformDETR
import Foundation
import TestSupport
import Tensors
import Testing
import Training

@Suite struct InitialParametersTests {
    private static let twoStage = SmallModel.configuration {
        ($0.refinement, $0.twoStage, $0.sharesHeads) = (true, true, false)
    }
    private static let refinement = SmallModel.configuration { ($0.refinement, $0.sharesHeads) = (true, false) }

    /// The model itself asks for exactly these tensors: no more, no less, in these shapes.
    @Test(arguments: [SmallModel.configuration(), refinement, twoStage]) func theModelReadsThemAll(
        configuration: Configuration
    )
        throws
    {
        let start = try InitialParameters(configuration, seed: 1)
        let cursor = WeightCursor(start.parameters)
        _ = try DeformableDETR(cursor, configuration: configuration)
        try cursor.requireAllUsed()
        #expect(start.initialized.count == configuration.tensors.count && start.taken.isEmpty && start.ignored.isEmpty)
    }

    @Test func theSeedFixesThem() throws {
        let (one, again, other) = (
            try InitialParameters(Self.twoStage, seed: 1).parameters,
            try InitialParameters(Self.twoStage, seed: 1).parameters,
            try InitialParameters(Self.twoStage, seed: 2).parameters
        )
        for name in one.names { #expect(one[name]?.elements == again[name]?.elements) }
        #expect(one["input_proj.0.0.weight"]?.elements != other["input_proj.0.0.weight"]?.elements)
        // No two tensors have the same numbers but for heads.
        let random = one.names.filter { name in
            !name.contains("_embed") && Set(one[name]?.elements.prefix(50) ?? []).count > 20
        }
        #expect(Set(random.compactMap { one[$0]?.elements.prefix(20) }).count == random.count)
    }

    private func expectEven(_ tensor: Tensor?, bound: Double) throws {
        let elements = try #require(tensor).elements
        #expect(elements.allSatisfy { abs(Double($0)) <= bound })
        let variance = elements.reduce(0) { $0 + Double($1) * Double($1) } / Double(elements.count)
        // An even distribution's variance is a third of the bound's square; the sample's deviates by 0.9 / sqrt(count).
        #expect(abs(variance / (bound * bound / 3) - 1) < 5 / Double(elements.count).squareRoot())
    }

    private func expectNormal(_ tensor: Tensor?, deviation: Double) throws {
        let elements = try #require(tensor).elements
        let count = Double(elements.count)
        let mean = elements.reduce(0) { $0 + Double($1) } / count
        let variance = elements.reduce(0) { $0 + Double($1) * Double($1) } / count
        #expect(abs(mean) < 5 * deviation / count.squareRoot())
        #expect(abs(variance / (deviation * deviation) - 1) < 7 / count.squareRoot())
    }

    @Test func distributionsAreThePublished() throws {
        let values = try InitialParameters(SmallModel.configuration(), seed: 3).parameters
        let layer = "transformer.decoder.layers.1"
        try expectNormal(values["backbone.0.body.conv1.weight"], deviation: (2.0 / (8 * 49)).squareRoot())
        try expectNormal(values["backbone.0.body.layer3.0.downsample.0.weight"], deviation: (2.0 / 24).squareRoot())
        try expectNormal(values["query_embed.weight"], deviation: 1)
        try expectNormal(values["transformer.level_embed"], deviation: 1)
        try expectEven(values["input_proj.0.0.weight"], bound: (6.0 / (64 + 16)).squareRoot())
        try expectEven(values["input_proj.2.0.weight"], bound: (6.0 / (9 * (64 + 24))).squareRoot())
        try expectEven(values["transformer.reference_points.weight"], bound: (6.0 / 66).squareRoot())
        try expectEven(values["\(layer).self_attn.in_proj_weight"], bound: (6.0 / (64 + 192)).squareRoot())
        try expectEven(values["\(layer).linear1.weight"], bound: (6.0 / (64 + 96)).squareRoot())
        try expectEven(values["\(layer).linear1.bias"], bound: 1 / 8)
        try expectEven(values["\(layer).linear2.bias"], bound: 1 / 96.0.squareRoot())
        try expectEven(values["\(layer).cross_attn.value_proj.weight"], bound: (6.0 / 128).squareRoot())
        try expectEven(values["class_embed.0.weight"], bound: 1 / 8)
        try expectEven(values["bbox_embed.0.layers.1.weight"], bound: 1 / 8)
        try expectEven(values["bbox_embed.0.layers.0.bias"], bound: 1 / 8)
        let zeros = [
            "input_proj.1.0.bias", "input_proj.1.1.bias", "transformer.reference_points.bias", "\(layer).norm2.bias",
            "\(layer).self_attn.in_proj_bias", "\(layer).self_attn.out_proj.bias", "bbox_embed.0.layers.2.weight",
            "\(layer).cross_attn.sampling_offsets.weight", "\(layer).cross_attn.attention_weights.weight",
            "\(layer).cross_attn.attention_weights.bias", "\(layer).cross_attn.output_proj.bias",
            "backbone.0.body.bn1.bias", "backbone.0.body.layer2.0.bn2.running_mean",
        ]
        for name in zeros { #expect(try #require(values[name]).elements.allSatisfy { $0 == 0 }, "\(name)") }
        let ones = [
            "backbone.0.body.layer2.0.bn2.running_var", "backbone.0.body.layer2.0.downsample.1.weight",
            "\(layer).norm3.weight", "input_proj.0.1.weight",
        ]
        for name in ones { #expect(try #require(values[name]).elements.allSatisfy { $0 == 1 }, "\(name)") }
        let bias = try #require(values["class_embed.0.bias"]).elements
        #expect(bias.allSatisfy { abs($0 + 4.595_119_9) < 1e-6 })
        #expect(values["bbox_embed.0.layers.2.bias"]?.elements == [0, 0, -2, -2])
        // Head 1 of 4 looks down; its two points lie 1 and 2 away, in all three levels.
        let ring = try #require(values["\(layer).cross_attn.sampling_offsets.bias"]).elements
        for level in 0..<3 {
            for (found, expected) in zip(ring[(12 + 4 * level)...], [0, 1, 0, 2] as [Float]) {
                #expect(abs(found - expected) < 1e-6)
            }
        }
    }

    @Test func headsBeginAlike() throws {
        for (configuration, first) in [(Self.refinement, -2 as Float), (Self.twoStage, 0)] {
            let values = try InitialParameters(configuration, seed: 4).parameters
            for head in 1..<configuration.headCount {
                #expect(values["class_embed.\(head).weight"]?.elements == values["class_embed.0.weight"]?.elements)
                #expect(
                    values["bbox_embed.\(head).layers.0.bias"]?.elements
                        == values["bbox_embed.0.layers.0.bias"]?.elements)
                #expect(values["bbox_embed.\(head).layers.2.bias"]?.elements == [0, 0, 0, 0])
            }
            #expect(values["bbox_embed.0.layers.2.bias"]?.elements == [0, 0, first, first])
        }
    }

    // MARK: - From parts

    private func file(_ tensors: TensorDictionary, in folder: TemporaryFolder) throws -> WeightFile {
        let path = "\(folder.path)/part.safetensors"
        try SafetensorsWriter.write(tensors, to: path)
        return try WeightFile.open(path)
    }

    @Test func torchvisionsBackboneFitsIn() throws {
        let configuration = SmallModel.configuration()
        let donor = try InitialParameters(configuration, seed: 8).parameters
        // Without the last stage, as torchvision names it, and with a classifier.
        var backbone = TensorDictionary()
        let prefix = "backbone.0.body."
        for name in donor.names where name.hasPrefix(prefix) && !name.contains("layer3") {
            backbone[String(name.dropFirst(prefix.count))] = donor[name]
        }
        let count = backbone.names.count
        backbone["bn1.num_batches_tracked"] = Tensor([1])
        backbone["fc.weight"] = Tensor([10, 24])
        let folder = try TemporaryFolder()
        let source = try PartialWeights(try file(backbone, in: folder), for: configuration)
        let start = try InitialParameters(configuration, seed: 9, completing: source)
        #expect(start.taken.count == count && start.initialized.count == configuration.tensors.count - count)
        #expect(start.ignored.map(\.name) == [prefix + "fc.weight"] && start.ignored[0].shape == [10, 24])
        for name in start.taken.map(\.name) {
            #expect(start.parameters[name]?.elements == donor[name]?.elements)
        }
        // The rest is what it would have been without the file.
        let fresh = try InitialParameters(configuration, seed: 9).parameters
        for name in start.initialized.map(\.name) {
            #expect(start.parameters[name]?.elements == fresh[name]?.elements)
        }
        #expect(start.parameters.names == configuration.tensors.map(\.name))
    }

    @Test func anotherNumberOfClassesRenewsTheClassHeads() throws {
        let donor = try InitialParameters(Self.twoStage, seed: 8).parameters
        var configuration = Self.twoStage
        configuration.classes = 3
        let folder = try TemporaryFolder()
        let source = try PartialWeights(try file(donor, in: folder), for: configuration)
        let start = try InitialParameters(configuration, seed: 9, completing: source)
        let heads = (0..<3).flatMap { ["class_embed.\($0).weight", "class_embed.\($0).bias"] }
        #expect(start.initialized.map(\.name).sorted() == heads.sorted())
        #expect(start.ignored.map(\.name).sorted() == heads.sorted())
        #expect(start.ignored.contains { $0.name == "class_embed.0.weight" && $0.shape == [7, 64] })
    }

    @Test func oneHeadServesForAll() throws {
        let donor = try InitialParameters(SmallModel.configuration(), seed: 8).parameters
        let folder = try TemporaryFolder()
        let source = try PartialWeights(try file(donor, in: folder), for: Self.refinement)
        let start = try InitialParameters(Self.refinement, seed: 9, completing: source)
        #expect(start.initialized.isEmpty && start.ignored.isEmpty)
        #expect(start.parameters["bbox_embed.1.layers.2.bias"]?.elements == [0, 0, -2, -2])
    }

    @Test func copiesOfOneHeadServeAsOne() throws {
        var donor = try InitialParameters(SmallModel.configuration(), seed: 8).parameters
        for name in donor.names where name.contains("_embed.0.") {
            donor[name.replacingOccurrences(of: "_embed.0.", with: "_embed.1.")] = donor[name]
        }
        let folder = try TemporaryFolder()
        let source = try PartialWeights(try file(donor, in: folder), for: SmallModel.configuration())
        let start = try InitialParameters(SmallModel.configuration(), seed: 9, completing: source)
        #expect(start.initialized.isEmpty && start.ignored.isEmpty)
    }

    @Test func refusesWeightsThatAreNotFinite() throws {
        let source = TensorDictionary(["class_embed.0.bias": Tensor([7], repeating: .nan)])
        #expect(throws: CheckpointError.self) {
            try InitialParameters(SmallModel.configuration(), seed: 1, completing: source)
        }
    }
}
