// What a training begins with: the shape of the model, and its first weights.

import Checkpoint
import DeformDETR
import Foundation
import Tensors
import Training

/// A model before its first step.
struct TrainingModel {
    let configuration: Configuration
    /// nil in a training that goes on: its checkpoint has the weights.
    let initial: InitialParameters?
    /// The size that the network shall see; nil where nothing states one.
    let preprocessing: Preprocessing?
    /// Where the suppression of its detections is to begin; nil where nothing states it.
    let overlapLimit: Float?
    /// Whether no trained weights of a backbone are there.
    let startsFromNothing: Bool
    let warnings: [String]

    /// The model of a training that goes on.
    ///
    /// - Parameter notes: those of its checkpoint.
    /// - Throws: `CheckpointError` for notes that are none.
    init(resuming checkpoint: WeightFile, notes: [String: String]) throws {
        let key = TrainingSession.Note.configuration
        configuration = try Configuration(
            json: notes[key] ?? "", origin: checkpoint.path, key: "metadata '\(key)'")
        startsFromNothing = notes[TrainingSession.Note.begunWithNothing] == "true"
        initial = nil
        preprocessing = try Preprocessing(
            json: notes[TrainingSession.Note.preprocessing] ?? "", origin: checkpoint.path,
            key: "metadata '\(TrainingSession.Note.preprocessing)'")
        overlapLimit = notes[TrainingSession.Note.overlapLimit].flatMap(Float.init).flatMap { 0...1 ~= $0 ? $0 : nil }
        warnings = []
    }

    /// - Parameter classNames: of the data.
    /// - Throws: ``UsageError``; the libraries' errors about the files.
    init(_ arguments: TrainingModelArguments, classNames: [String], seed: UInt64) throws {
        var configuration: Configuration
        var formerNames: [String?] = []
        var source: (any TensorSource)?
        if let path = arguments.weights {
            guard arguments.backbone == nil else {
                throw UsageError("train: --weights has a backbone already; leave --backbone out")
            }
            let file = try Self.modelFile(path)
            configuration = file.configuration
            configuration.classes = 0
            source = file.source
            formerNames = file.classNames
            preprocessing = file.preprocessing
            overlapLimit = file.overlapLimit
            warnings = file.warnings
        } else {
            let file = try arguments.backbone.map { try PartialWeights(WeightFile.open($0), for: Configuration()) }
            let backbone = try file?.backbone()
            if let file, backbone == nil {
                throw CheckpointError.missingTensor(path: file.origin, name: "conv1.weight", expected: nil)
            }
            configuration = arguments.model.configuration(backbone: backbone)
            source = file
            preprocessing = nil
            overlapLimit = nil
            warnings = []
        }
        let classes = try arguments.numClasses.map { try PredictOptions.number($0, "--num-classes", 1...100_000) }
        configuration.classes = classes ?? classNames.count
        guard configuration.classes >= classNames.count else {
            throw UsageError("--num-classes \(configuration.classes): the data has \(classNames.count) classes")
        }
        try Self.apply(arguments, to: &configuration)
        let origin = arguments.weights ?? arguments.backbone ?? "the options"
        try configuration.requireWithinLimits(origin: origin, queriesOrigin: origin)
        self.configuration = configuration
        startsFromNothing = source == nil
        if let source {
            try Self.requireWholeBackbone(of: configuration, in: source)
            var parameters = try TensorDictionary(copying: source)
            Self.sortClasses(of: &parameters, from: formerNames, to: classNames)
            initial = try Self.initial(configuration, seed: seed, completing: parameters)
        } else {
            initial = try InitialParameters(configuration, seed: seed)
        }
    }

    /// - Throws: ``UsageError`` for a file of another kind that a training knows as well; the libraries' errors.
    private static func modelFile(_ path: String) throws -> ModelFile {
        do {
            return try ModelFile.open(path)
        } catch CheckpointError.missingTensor {
            let names = try Set(WeightFile.open(path).names)
            if names.contains("optimizer.step") {
                throw UsageError(
                    "train: \(path) is where a training goes on: --resume its folder, or give its best.bin")
            }
            if names.contains("conv1.weight") {
                throw UsageError("train: \(path) has a backbone alone: it belongs to --backbone")
            }
            return try ModelFile.open(path)
        }
    }

    /// - Throws: ``Failure`` for weights with NaN or infinity, from which nothing can be learnt.
    private static func initial(
        _ configuration: Configuration, seed: UInt64, completing parameters: TensorDictionary
    ) throws -> InitialParameters {
        do {
            return try InitialParameters(configuration, seed: seed, completing: parameters)
        } catch let error as CheckpointError {
            guard case .nonfinite(let path, let name, let index, let value) = error else { throw error }
            throw Failure(
                code: error.code,
                "\(path): tensor '\(name)' contains \(value) at element \(index): a training begins with finite numbers"
                    .printable)
        }
    }

    /// A backbone of another kind, such as a ResNeXt, would lend some of its tensors, and the rest would be random.
    ///
    /// - Throws: `CheckpointError` with the first tensor that the file has not, or in another shape.
    private static func requireWholeBackbone(of configuration: Configuration, in source: any TensorSource) throws {
        for tensor in configuration.tensors where tensor.name.hasPrefix("backbone.") {
            guard let found = source.shape(of: tensor.name) else {
                throw CheckpointError.missingTensor(path: source.origin, name: tensor.name, expected: tensor.shape)
            }
            guard found == tensor.shape else {
                throw CheckpointError.wrongShape(
                    path: source.origin, name: tensor.name, expected: tensor.shape, found: found)
            }
        }
    }

    /// Brings the class heads into the order of the data's classes, if they are the same by name.
    private static func sortClasses(
        of parameters: inout TensorDictionary, from former: [String?], to names: [String]
    ) {
        let columns = names.compactMap { name in former.firstIndex(of: name) }
        guard former.count == names.count, columns.count == names.count, columns != Array(names.indices) else { return }
        for name in parameters.names where name.hasPrefix("class_embed.") {
            guard let tensor = parameters[name], tensor.shape[0] == columns.count else { continue }
            let (elements, width) = (tensor.elements, tensor.count / columns.count)
            parameters[name] = Tensor(tensor.shape, columns.flatMap { elements[$0 * width..<($0 + 1) * width] })
        }
    }

    /// - Throws: ``UsageError`` for sizes that do not go together.
    private static func apply(_ arguments: TrainingModelArguments, to configuration: inout Configuration) throws {
        func number(_ value: Int?, _ option: String, _ range: ClosedRange<Int>) throws -> Int? {
            try value.map { try PredictOptions.number($0, option, range) }
        }
        if let width = try number(arguments.width, "--width", 32...4096) {
            guard width % 32 == 0, width % configuration.heads == 0 else {
                throw UsageError(
                    "--width: expected a multiple of 32 and of \(configuration.heads) heads, found \(width)")
            }
            configuration.feedForwardWidth = max(1, configuration.feedForwardWidth * width / configuration.modelWidth)
            configuration.modelWidth = width
        }
        if let layers = try number(arguments.encoderLayers, "--encoder-layers", 1...100) {
            configuration.encoderLayers = layers
        }
        if let layers = try number(arguments.decoderLayers, "--decoder-layers", 1...100) {
            configuration.decoderLayers = layers
        }
        if let queries = try number(arguments.queries, "--queries", 1...10_000) { configuration.queries = queries }
        if let levels = try number(arguments.levels, "--levels", 1...16) {
            configuration.levels = levels
            configuration.featureTaps = min(configuration.featureTaps, levels)
        }
    }

    /// What came from where, for people: names are shortened to their first parts.
    var description: [String] {
        func groups(_ tensors: [InitialParameters.Description]) -> String {
            var counts: [(name: String, count: Int)] = []
            for tensor in tensors {
                let name = tensor.name.split(separator: ".").prefix(tensor.name.hasPrefix("transformer") ? 2 : 1)
                    .joined(separator: ".")
                if let index = counts.firstIndex(where: { $0.name == name }) {
                    counts[index].count += 1
                } else {
                    counts.append((name, 1))
                }
            }
            return counts.map { "\($0.name) (\($0.count))" }.joined(separator: ", ")
        }
        var lines = [configuration.summary]
        guard let initial else { return lines }
        if !initial.taken.isEmpty { lines.append("taken from the file: \(groups(initial.taken))") }
        if !initial.initialized.isEmpty { lines.append("initialised: \(groups(initial.initialized))") }
        if let first = initial.ignored.first {
            let others = initial.ignored.count > 1 ? " and \(counted(initial.ignored.count - 1, "other tensor"))" : ""
            lines.append("in the file, but not used: \(first.name) \(first.shape)\(others)")
        }
        return lines
    }
}
