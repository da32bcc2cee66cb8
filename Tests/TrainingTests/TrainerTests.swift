// Steps of a training: that they learn, that nothing but their number decides them, and that a saved training goes on as if it
// had never stopped.

import Checkpoint
import DeformDETR
import Foundation
import TestSupport
import Tensors
import Testing
import Training

@Suite struct TrainerTests {
    private static func trainer(
        _ configuration: Configuration = SmallModel.twoStage, _ change: (inout Trainer.Options) -> Void = { _ in }
    ) throws -> Trainer {
        var options = Trainer.Options()
        options.groups = .published(
            learningRate: 1e-3, backboneLearningRate: 1e-3, frozen: [".bn1.", ".bn2.", ".downsample.1."])
        options.averageDecay = 0.9
        options.seed = 5
        change(&options)
        return Trainer(
            configuration, parameters: try InitialParameters(configuration, seed: 3).parameters, options: options)
    }

    private static func batch(_ number: Int, joined: Bool = false) throws -> TrainingBatch {
        TrainingBatch(
            try (0..<4).map { try SmallModel.Samples().sample(epoch: number, position: $0) }, isJoined: joined)
    }

    private static func expectEqual(_ left: TensorDictionary, _ right: TensorDictionary, _ comment: Comment) {
        #expect(left.names == right.names)
        for name in left.names {
            #expect(left[name]?.elements == right[name]?.elements, "\(name): \(comment)")
        }
    }

    @Test(arguments: [SmallModel.configuration(), SmallModel.twoStage])
    func itLearnsABatchByHeart(_ configuration: Configuration) throws {
        var trainer = try Self.trainer(configuration) { $0.dropout = .none }
        let batch = try Self.batch(0)
        let losses = try (0..<60).map { _ in try trainer.step(batch).loss }
        #expect(losses.allSatisfy { $0.isFinite })
        #expect(losses[59] < 0.6 * losses[0], "\(losses[0]) to \(losses[59])")
        #expect(trainer.stepCount == 60)
    }

    @Test func batchNormalizationLearnsToo() throws {
        var trainer = try Self.trainer {
            $0.normalization = .batch
            $0.groups = .published(learningRate: 1e-3, backboneLearningRate: 1e-3, frozen: [])
            $0.dropout = .none
        }
        let batch = try Self.batch(0, joined: true)
        #expect(batch.parts.count == 1)
        let before = trainer.parameters
        let losses = try (0..<40).map { _ in try trainer.step(batch).loss }
        #expect(losses[39] < 0.8 * losses[0], "\(losses[0]) to \(losses[39])")
        for name in ["backbone.0.body.bn1.running_mean", "backbone.0.body.layer1.0.bn2.weight"] {
            #expect(before[name]?.elements != trainer.parameters[name]?.elements, "\(name)")
        }
        // What was measured while training serves inference.
        let model = try DeformableDETR(WeightCursor(trainer.parameters), configuration: trainer.configuration)
        let output = try model(batch.parts[0].images)
        #expect(output.logits.elements.allSatisfy { $0.isFinite })
    }

    /// Images in parts of their own or padded in one batch; float32 sums in another order.
    @Test func partsMakeNoDifference() throws {
        var (apart, joined) = (try Self.trainer { $0.dropout = .none }, try Self.trainer { $0.dropout = .none })
        let (one, other) = (try apart.step(Self.batch(0)), try joined.step(Self.batch(0, joined: true)))
        #expect(abs(one.loss - other.loss) < 1e-4 * one.loss)
        #expect(abs(one.gradientNorm - other.gradientNorm) < 1e-3 * one.gradientNorm)
        #expect(
            zip(one.terms, other.terms).allSatisfy { $0.name == $1.name && abs($0.value - $1.value) < 1e-4 * one.loss })
    }

    @Test func aSavedTrainingGoesOnBitByBit() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/checkpoint"
        var whole = try Self.trainer()
        for number in 0..<3 { _ = try whole.step(Self.batch(number)) }
        try whole.save(to: path, notes: ["best": "0.5", "words": "[\"a b\"]"])
        let file = try WeightFile.open(path)
        #expect(try Trainer.notes(of: file) == ["best": "0.5", "words": "[\"a b\"]"])
        var resumed = try Trainer(resuming: file, configuration: whole.configuration, options: whole.options)
        #expect(resumed.stepCount == 3)
        for number in 3..<6 {
            let (one, other) = (try whole.step(Self.batch(number)), try resumed.step(Self.batch(number)))
            #expect(one.loss == other.loss && one.gradientNorm == other.gradientNorm)
        }
        Self.expectEqual(whole.parameters, resumed.parameters, "weights")
        Self.expectEqual(whole.averagedParameters, resumed.averagedParameters, "running mean")
        Self.expectEqual(whole.optimizer.state, resumed.optimizer.state, "optimiser")
    }

    @Test func whatIsNoCheckpointIsRefused() throws {
        let folder = try TemporaryFolder()
        let trainer = try Self.trainer()
        let model = "\(folder.path)/w.bin"
        try ModelFile.write(
            trainer.parameters, configuration: trainer.configuration, classNames: [], preprocessing: nil, to: model)
        #expect(throws: CheckpointError.self) { try Trainer.notes(of: try WeightFile.open(model)) }
        #expect(throws: CheckpointError.self) {
            try Trainer(
                resuming: try WeightFile.open(model), configuration: trainer.configuration, options: trainer.options)
        }
        let path = "\(folder.path)/checkpoint"
        try trainer.save(to: path)
        #expect(throws: CheckpointError.self) {
            try Trainer(
                resuming: try WeightFile.open(path), configuration: SmallModel.configuration { $0.queries = 31 },
                options: trainer.options)
        }
    }

    /// Gradients that a float holds and whose squares it does not leave finite weights, and an optimiser that nobody could resume.
    @Test func whatIsNotFiniteIsNotSaved() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/checkpoint"
        var trainer = try Self.trainer {
            $0.criterion.weights.classification = 1e26
            $0.optimizer.maximumNorm = nil
        }
        try trainer.save(to: path)
        let saved = try Data(contentsOf: URL(fileURLWithPath: path))
        _ = try trainer.step(Self.batch(0))
        for name in trainer.parameters.names {
            #expect(trainer.parameters[name]?.elements.allSatisfy(\.isFinite) == true, "\(name)")
        }
        let error = #expect(throws: CheckpointError.self) { try trainer.save(to: path) }
        #expect(error?.description.contains("optimizer.second_moment.") == true)
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == saved)
    }

    @Test func aFailedStepChangesNothing() throws {
        var trainer = try Self.trainer()
        let before = trainer.parameters
        let sample = try SmallModel.Samples().sample(epoch: 0, position: 0)
        let foreign = LabelledImage(
            image: sample.image, objects: [LabelledImage.Object(classID: 99, box: sample.objects[0].box)])
        #expect(throws: (any Error).self) { try trainer.step(TrainingBatch([foreign], isJoined: false)) }
        #expect(trainer.stepCount == 0)
        Self.expectEqual(before, trainer.parameters, "weights")
    }

    /// A model's file states the size that it was trained for, and where suppression is to begin; detectors take both.
    @Test func modelsStateTheirUse() throws {
        let folder = try TemporaryFolder()
        let trainer = try Self.trainer()
        let path = "\(folder.path)/w.bin"
        let size = Preprocessing(shorterSide: 96, longestSide: 160)
        try ModelFile.write(
            trainer.averagedParameters, configuration: trainer.configuration, classNames: ["red", nil, "blue"],
            preprocessing: size, overlapLimit: 0.75, to: path)
        let file = try ModelFile.open(path)
        #expect(file.preprocessing == size && file.configuration == trainer.configuration)
        #expect(try Detector(weights: path).preprocessing == size)
        let other = Preprocessing(shorterSide: 64, longestSide: 96)
        #expect(try Detector(weights: path, preprocessing: other).preprocessing == other)
        #expect(file.overlapLimit == 0.75)
        #expect(try Detector(weights: path).overlapLimit == 0.75)
        #expect(try Detector(weights: path, overlapLimit: 1).overlapLimit == 1)
    }
}
