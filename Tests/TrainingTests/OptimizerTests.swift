// AdamW, clipping, schedules and the moving average against torch 2.15.0 (tools/golden_training_losses.py).

import Checkpoint
import Foundation
import Layers
import TestSupport
import Tensors
import Testing
import Training

@Suite struct OptimizerTests {
    private let golden: WeightFile
    private let initial: TensorDictionary
    private static let steps = 20
    private static let schedule = LearningRateSchedule(
        warmupSteps: 4, warmupStart: 0.1, decay: .steps(at: [10, 15], factor: 0.1))

    init() throws {
        golden = try WeightFile.open(Fixture.path("optimizer.safetensors"))
        var initial = TensorDictionary()
        for name in golden.names where name.hasPrefix("initial/") {
            initial[String(name.dropFirst("initial/".count))] = try golden.tensor(name)
        }
        self.initial = initial
    }

    private func gradients(_ step: Int) throws -> Gradients {
        var gradients = Gradients()
        for name in golden.names where name.hasPrefix("gradient.\(step)/") {
            gradients.add(try golden.tensor(name), to: String(name.dropFirst("gradient.\(step)/".count)))
        }
        return gradients
    }

    /// float32 in the same order of operations; what is left is how a processor rounds a * b + c.
    @Test func twentyStepsArePyTorchs() throws {
        var parameters = initial
        var optimizer = AdamW(parameters: initial)
        var mean = ExponentialMovingAverage(initial, decay: 0.9)
        let norms = try golden.tensor("norms").elements
        #expect(optimizer.names.count == initial.names.count - 1)
        for step in 0..<Self.steps {
            let norm = try optimizer.update(
                &parameters, gradients: gradients(step), learningRateFactor: Self.schedule.factor(at: step))
            #expect(abs(norm - Double(norms[step])) < 1e-6 * norm)
            mean.update(parameters)
            guard step == 0 || step == Self.steps - 1 else { continue }
            for name in initial.names {
                let found = try #require(parameters[name])
                let expected = try golden.tensor("after.\(step)/\(name)")
                #expect(relativeError(found, expected) < 1e-6)
                // The parameters hardly move, so what they moved by is compared too.
                let start = try #require(initial[name])
                #expect(relativeError(difference(found, start), difference(expected, start)) < 1e-3)
                let average = try #require(mean.average[name])
                #expect(relativeError(average, try golden.tensor("average.\(step)/\(name)")) < 1e-6)
            }
        }
        #expect(optimizer.stepCount == Self.steps)
    }

    private func difference(_ left: Tensor, _ right: Tensor) -> Tensor {
        Tensor(left.shape, zip(left.elements, right.elements).map { $0 - $1 })
    }

    @Test func resumingContinuesBitForBit() throws {
        let folder = try TemporaryFolder()
        var (parameters, optimizer) = (initial, AdamW(parameters: initial))
        var mean = ExponentialMovingAverage(initial)
        for step in 0..<Self.steps {
            if step == 7 {
                let files = ["state", "parameters", "average"].map { "\(folder.path)/\($0).safetensors" }
                try SafetensorsWriter.write(optimizer.state, to: files[0])
                try SafetensorsWriter.write(parameters, to: files[1])
                try SafetensorsWriter.write(mean.average, to: files[2])
                optimizer = try AdamW(parameters: initial, resuming: WeightFile.open(files[0]))
                parameters = try read(files[1])
                mean = ExponentialMovingAverage(try read(files[2]), updateCount: mean.updateCount)
                #expect(optimizer.stepCount == 7)
            }
            try optimizer.update(&parameters, gradients: gradients(step))
            mean.update(parameters)
        }
        var (expected, uninterrupted) = (initial, AdamW(parameters: initial))
        var expectedMean = ExponentialMovingAverage(initial)
        for step in 0..<Self.steps {
            try uninterrupted.update(&expected, gradients: gradients(step))
            expectedMean.update(expected)
        }
        for name in initial.names {
            #expect(parameters[name]?.elements == expected[name]?.elements)
            #expect(mean.average[name]?.elements == expectedMean.average[name]?.elements)
        }
        for name in uninterrupted.state.names {
            #expect(optimizer.state[name]?.elements == uninterrupted.state[name]?.elements)
        }
    }

    private func read(_ path: String) throws -> TensorDictionary {
        let file = try WeightFile.open(path)
        var tensors = TensorDictionary()
        for name in file.names { tensors[name] = try file.tensor(name) }
        return tensors
    }

    @Test func refusesAForeignState() throws {
        let optimizer = AdamW(parameters: initial)
        var state = optimizer.state
        state["optimizer.step"] = Tensor([3], [0.5, 0, 0])
        #expect(throws: TrainingError.self) { try AdamW(parameters: initial, resuming: state) }
        state = optimizer.state
        let name = "optimizer.second_moment.\(optimizer.names[0])"
        state.withMutableElements(of: name) { $0[1] = -1 }
        #expect(throws: TrainingError.self) { try AdamW(parameters: initial, resuming: state) }
        state[name] = Tensor([2])
        #expect(throws: CheckpointError.self) { try AdamW(parameters: initial, resuming: state) }
        state[name] = nil
        #expect(throws: CheckpointError.self) { try AdamW(parameters: initial, resuming: state) }
    }

    @Test func stepCountsOfAnySizeSurvive() throws {
        var state = AdamW(parameters: initial).state
        state["optimizer.step"] = Tensor([3], [7, 1, 2])
        let optimizer = try AdamW(parameters: initial, resuming: state)
        #expect(optimizer.stepCount == 7 + 1 << 20 + 2 << 40)
        #expect(optimizer.state["optimizer.step"]?.elements == [7, 1, 2])
    }

    @Test func gradientsThatAreNotFiniteChangeNothing() throws {
        var (parameters, optimizer) = (initial, AdamW(parameters: initial))
        var gradients = Gradients()
        let name = optimizer.names[1]
        var slopes = Tensor(try #require(initial[name]).shape)
        slopes.withMutableElements { $0[3] = .nan }
        gradients.add(slopes, to: name)
        #expect(throws: TrainingError.nonfiniteGradient(parameter: name, element: 3)) {
            try optimizer.update(&parameters, gradients: gradients)
        }
        #expect(optimizer.stepCount == 0 && parameters[name]?.elements == initial[name]?.elements)
    }

    @Test func parametersWithoutGradientStay() throws {
        var (parameters, optimizer) = (initial, AdamW(parameters: initial))
        try optimizer.update(&parameters, gradients: Gradients())
        for name in initial.names { #expect(parameters[name]?.elements == initial[name]?.elements) }
    }

    @Test func anyNumberOfThreadsGivesTheSameBits() throws {
        var generator = SeededGenerator(seed: 4)
        let start = TensorDictionary(["weight": generator.tensor([331, 313])])
        var gradients = Gradients()
        gradients.add(generator.tensor([331, 313]), to: "weight")
        let results = try [1, 2, 5].map { threads in
            try Parallel.withThreadCount(threads) {
                var (parameters, optimizer) = (start, AdamW(parameters: start))
                let norm = try optimizer.update(&parameters, gradients: gradients)
                return (norm, parameters["weight"]?.elements)
            }
        }
        #expect(results.allSatisfy { $0.0 == results[0].0 && $0.1 == results[0].1 })
    }

    @Test func publishedGroups() {
        let groups = ParameterGroups.published()
        func rate(_ name: String) -> Double? { groups.group(of: name)?.learningRate }
        #expect(rate("backbone.0.body.layer2.0.conv1.weight") == 2e-5)
        #expect(rate("backbone.0.body.conv1.weight") == nil)
        #expect(rate("backbone.0.body.layer1.2.conv3.weight") == nil)
        #expect(rate("backbone.0.body.layer4.0.downsample.1.weight") == nil)
        #expect(rate("backbone.0.body.layer4.0.downsample.0.weight") == 2e-5)
        #expect(rate("backbone.0.body.layer4.0.bn2.running_mean") == nil)
        #expect(rate("transformer.reference_points.bias") == 2e-4 * 0.1)
        #expect(rate("transformer.decoder.layers.3.cross_attn.sampling_offsets.weight") == 2e-4 * 0.1)
        #expect(rate("transformer.encoder.layers.0.norm1.weight") == 2e-4)
        #expect(groups.group(of: "input_proj.0.0.weight")?.weightDecay == 1e-4)
        let whole = ParameterGroups.published(frozen: [])
        #expect(whole.group(of: "backbone.0.body.bn1.weight")?.learningRate == 2e-5)
        #expect(whole.group(of: "backbone.0.body.bn1.running_var") == nil)
    }

    @Test(arguments: [
        ("warm-up", LearningRateSchedule(warmupSteps: 8)),
        ("steps", LearningRateSchedule(warmupSteps: 8, decay: .steps(at: [5, 20, 30], factor: 0.3))),
        ("cosine", LearningRateSchedule(decay: .cosine(end: 32, finalFactor: 0.05))),
        ("warm-up, cosine", LearningRateSchedule(warmupSteps: 8, decay: .cosine(end: 39, finalFactor: 0.01))),
    ])
    func schedulesArePyTorchs(name: String, schedule: LearningRateSchedule) throws {
        let data = try Data(contentsOf: URL(fileURLWithPath: Fixture.path("schedules.json")))
        let expected = try #require(JSONDecoder().decode([String: [Double]].self, from: data)[name])
        for (step, factor) in expected.enumerated() {
            // PyTorch multiplies its way from step to step.
            #expect(abs(schedule.factor(at: step) - factor) < 1e-6, "step \(step)")
        }
    }

    @Test func cosineStaysAtItsEnd() {
        let schedule = LearningRateSchedule(warmupSteps: 10, decay: .cosine(end: 5, finalFactor: 0.2))
        #expect(schedule.factor(at: 1000) == 0.2)
        #expect(LearningRateSchedule(decay: .cosine(end: 0, finalFactor: 0.2)).factor(at: 0) == 0.2)
    }
}
