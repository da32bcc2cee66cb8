// A model's tensors as `w.bin` stores them for int8.

import Checkpoint
import Layers
import Tensors

/// A model's tensors with its whole weights in units of their steps, and what a network in int8 reads beside them.
struct QuantizedWeights: TensorSource {
    private let source: CheckedTensors
    private let ranges: [String: ClosedRange<Float>]
    let names: [String]
    private let shapes: [String: Shape]
    /// Names of the tensors that are whole numbers once they are rounded.
    let wholeNames: Set<String>

    /// - Parameters:
    ///   - source: the tensors in float32.
    ///   - ranges: of activations, by name.
    init(_ source: CheckedTensors, tensors: [Configuration.TensorDescription], ranges: [String: ClosedRange<Float>]) {
        self.source = source
        self.ranges = ranges
        let all = tensors.flatMap { [(name: $0.name, shape: $0.shape)] + $0.quantizationTensors }
        names = all.map(\.name)
        shapes = Dictionary(all.map { ($0.name, $0.shape) }) { first, _ in first }
        wholeNames = Set(tensors.filter(\.isWhole).map(\.name))
    }

    var origin: String { source.origin }

    func shape(of name: String) -> Shape? { shapes[name] }

    /// - Throws: ``CheckpointError`` also for a range that nobody knows.
    func tensor(_ name: String) throws -> Tensor {
        if wholeNames.contains(name) {
            var weight = try source.tensor(name)
            weight.scaleRows(by: Quantization.steps(of: weight).map { 1 / Double($0) })
            return weight
        }
        if name.hasSuffix(WeightFile.stepSuffix) {
            let weight = try source.tensor(String(name.dropLast(WeightFile.stepSuffix.count)))
            return Tensor([weight.shape[0]], Quantization.steps(of: weight))
        }
        guard shapes[name] == [2], source.shape(of: name) == nil else { return try source.tensor(name) }
        guard let range = ranges[name] else {
            throw CheckpointError.missingTensor(path: origin, name: name, expected: [2])
        }
        return Tensor([2], [range.lowerBound, range.upperBound])
    }
}
