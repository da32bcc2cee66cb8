// A training on disk: all that the next step depends on, in one file that is either the old one or the new one.

import Checkpoint
import DeformDETR
import Layers
import Tensors

extension Trainer {
    private static let versionKey = "detect_training_version"
    private static let version = "1"
    private static let weightPrefix = "weights."
    private static let averagePrefix = "average."

    /// Writes a safetensors file: weights, their running mean and the optimiser's state, and the strings.
    ///
    /// - Parameters:
    ///   - path: a reader sees the old file or the whole new one, whatever happens meanwhile.
    ///   - notes: kept as they are: what else resuming needs.
    /// - Throws: `FileError`; `CheckpointError` when a weight, a mean or a moment is not finite: nobody could resume from it, and
    ///   the old file stays.
    public func save(to path: String, notes: [String: String] = [:]) throws {
        var tensors = TensorDictionary(origin: "the training")
        func add(_ prefix: String, _ source: TensorDictionary) {
            for name in source.names { tensors[prefix + name] = source[name] }
        }
        add("", optimizer.state)
        add(Self.weightPrefix, parameters)
        if let average { add(Self.averagePrefix, average.average) }
        try SafetensorsWriter.write(
            CheckedTensors(tensors), to: path,
            metadata: notes.merging([Self.versionKey: Self.version]) { _, version in version })
    }

    /// The strings that a checkpoint was saved with.
    ///
    /// - Throws: `CheckpointError` when the file is no training's checkpoint.
    public static func notes(of file: WeightFile) throws -> [String: String] {
        guard file.metadata[versionKey] == version else {
            throw CheckpointError.configuration(
                path: file.path, key: "metadata '\(versionKey)'",
                expected: "'\(version)': a checkpoint that 'detect train' has saved",
                found: file.metadata[versionKey].map { "'\($0.prefix(40))'" } ?? "none")
        }
        return file.metadata.filter { $0.key != versionKey }
    }

    /// Goes on where a training was saved.
    ///
    /// - Parameters:
    ///   - configuration: of the saved model.
    ///   - options: those of the saved training, if the weights shall become the same, bit by bit.
    /// - Throws: `CheckpointError` when a tensor is missing, has another shape or is not finite, ``TrainingError`` for a state
    ///   that no training has.
    public init(resuming file: WeightFile, configuration: Configuration, options: Options) throws {
        func read(_ prefix: String) throws -> TensorDictionary {
            let cursor = WeightCursor(file)
            var tensors = TensorDictionary(origin: file.path)
            for tensor in configuration.tensors {
                tensors[tensor.name] = try cursor.tensor(prefix + tensor.name, tensor.shape)
            }
            return tensors
        }
        let parameters = try read(Self.weightPrefix)
        let optimizer = try AdamW(
            parameters: parameters, groups: options.groups, options: options.optimizer, resuming: file)
        let average = try options.averageDecay.map { decay in
            ExponentialMovingAverage(
                try read(Self.averagePrefix), decay: decay, updateCount: optimizer.stepCount)
        }
        self.init(configuration, parameters: parameters, options: options, optimizer: optimizer, average: average)
    }
}
