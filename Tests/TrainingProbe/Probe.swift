import Backbone
import Checkpoint
import DeformDETR
import Foundation
import Layers
import Tensors
import TestSupport
import Training

/// Trains the base model for some steps: how long they take, and how much memory.
struct Probe {
    let request: Request

    /// A step's stages, in their order.
    enum Stage: String, CaseIterable {
        /// Building the model from its parameters.
        case rebuild
        case forwardBackbone = "forward_backbone"
        /// Input projections, encoder, decoder and heads.
        case forwardTransformer = "forward_transformer"
        case criterion
        case backwardTransformer = "backward_transformer"
        case backwardBackbone = "backward_backbone"
        /// Limiting the gradients' norm, and AdamW.
        case optimizer
    }

    /// What one step took, by ``Stage``, and what it found.
    private struct Step {
        var seconds: [Stage: Double] = [:]
        var loss = 0.0
        var gradientNorm = 0.0

        var total: Double { seconds.values.reduce(0, +) }
    }

    /// - Returns: the report, one line of JSON.
    func run() throws -> String {
        try Parallel.withThreadCount(request.threads) {
            let configuration = Configuration()
            let groups = ParameterGroups.published()
            var parameters = try parameters(configuration)
            let batch =
                try request.batchPath.map { try Batch(contentsOf: $0) }
                ?? Batch(
                    height: request.height, width: request.width, objects: request.objects,
                    classes: configuration.classes)
            var optimizer = AdamW(parameters: parameters, groups: groups)
            let steps = try (0...request.steps).map { index in
                let options = TrainingOptions(
                    dropout: request.dropsOut ? .published : .none, seed: UInt64(index),
                    training: { groups.group(of: $0) != nil })
                return try step(&parameters, &optimizer, configuration, batch, options)
            }
            return report(steps, peakMemory: Memory().peak)
        }
    }

    private func parameters(_ configuration: Configuration) throws -> TensorDictionary {
        guard let path = request.weightsPath else {
            return try InitialParameters(configuration, seed: 1).parameters
        }
        return try TensorDictionary(copying: ModelFile.open(path).source)
    }

    private func step(
        _ parameters: inout TensorDictionary, _ optimizer: inout AdamW, _ configuration: Configuration, _ batch: Batch,
        _ options: TrainingOptions
    ) throws -> Step {
        var step = Step()
        var mark = now
        func lap(_ stage: Stage) {
            let end = now
            step.seconds[stage] = end - mark
            mark = end
        }

        var gradients = Gradients(wanting: options.isTrained)
        do {
            let model = try DeformableDETR(WeightCursor(parameters), configuration: configuration)
            lap(.rebuild)
            var statistics = BatchStatistics()
            let (features, backbonePullback) = model.features(of: batch.images, options: options, updating: &statistics)
            lap(.forwardBackbone)
            let (output, transformerPullback) = try model.predict(from: features, of: batch.images, options: options)
            lap(.forwardTransformer)
            let loss = try Criterion.published(output, targets: batch.targets)
            step.loss = loss.total
            lap(.criterion)
            let featureGradients = transformerPullback(loss.gradient, &gradients)
            lap(.backwardTransformer)
            backbonePullback(featureGradients, &gradients)
        }
        lap(.backwardBackbone)
        step.gradientNorm = try optimizer.update(&parameters, gradients: gradients)
        lap(.optimizer)
        return step
    }

    /// Seconds of the request's clock.
    private var now: Double {
        request.countsProcessorTime
            ? Double(clock()) / Double(CLOCKS_PER_SEC) : ProcessInfo.processInfo.systemUptime
    }

    private func report(_ steps: [Step], peakMemory: Int) -> String {
        let timed = steps.dropFirst()
        let stages = Stage.allCases.map { stage in
            "\"\(stage.rawValue)\":\(median(timed.compactMap { $0.seconds[stage] }))"
        }
        return "{\"median_seconds\":\(median(timed.map(\.total))),"
            + "\"seconds\":[\(timed.map { "\($0.total)" }.joined(separator: ","))],"
            + "\"stages\":{\(stages.joined(separator: ","))},\"losses\":\(steps.map(\.loss)),"
            + "\"gradient_norms\":\(steps.map(\.gradientNorm)),\"peak_memory_bytes\":\(peakMemory),\"threads\":\(request.threads)}"
    }

    private func median(_ values: [Double]) -> Double {
        let sorted = values.sorted()
        return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
    }
}
