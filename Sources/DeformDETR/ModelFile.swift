// A checkpoint as a model: its weights under official names, its configuration, its classes; and its conversion to `w.bin`.

import Checkpoint
import Foundation
import Layers
import Tensors

/// A checkpoint of any known format and naming. Opening it reads the table of contents and compares it with the model's; weights
/// are read when asked for.
public struct ModelFile: Sendable {
    /// The file as it is, with its own names and number formats.
    public let file: WeightFile
    public let configuration: Configuration
    /// By class id (logit column); nil where a column has no name.
    public let classNames: [String?]
    /// The size that the model was trained for, where the file says it.
    public let preprocessing: Preprocessing?
    /// Where non-maximum suppression is to begin, as ``Detector/overlapLimit`` says; nil where the file says nothing.
    public let overlapLimit: Float?
    /// What the model computes in unless told otherwise: what `w.bin` stores its weights as, float32 for other files.
    public let precision: ComputePrecision
    /// What is odd or had to be assumed, for people.
    public let warnings: [String]
    /// The model's tensors under the official names, exactly those of ``Configuration/tensors``.
    public var source: any TensorSource { weights }
    private let weights: CanonicalWeights

    /// Opens a checkpoint.
    ///
    /// - Parameter configurationFile: a Hugging Face style `config.json` that overrides or completes what is found in or
    ///   beside the checkpoint.
    /// - Throws: ``CheckpointError`` naming the tensor or setting that is missing, extra, misshaped, contradictory or unsupported;
    ///   ``FileError`` when the system refuses.
    public static func open(_ path: String, configurationFile: String? = nil) throws -> ModelFile {
        let file = try WeightFile.open(path)
        let metadata = try ModelMetadata(file)
        var weights = try CanonicalWeights(file)
        var warnings = file.warnings
        let hints = try gatherHints(file, metadata, configurationFile, &warnings)
        let detected = try ConfigurationDetector(weights: weights, hints: hints).detect()
        let configuration = detected.configuration
        if configuration.sharesHeads {
            weights.removeHeadCopies()
        } else if weights.headIndices("class_embed") == [0] {
            weights.shareClassHead(count: configuration.headCount)
        }
        let precision = metadata?.precision ?? .float32
        try requireTensors(configuration, precision, weights)
        return ModelFile(
            file: file, configuration: configuration, classNames: try classNames(configuration, hints),
            preprocessing: metadata?.preprocessing, overlapLimit: metadata?.overlapLimit,
            precision: precision, warnings: warnings + detected.warnings, weights: weights)
    }

    /// The format and naming, for people.
    public var format: String {
        let naming =
            file.metadata[MetadataKey.version] != nil
            ? "detect" : CheckpointNames.areHuggingFace(file.names) ? "Hugging Face names" : "official names"
        return "\(file.format.rawValue), \(naming)"
    }

    /// A cursor at the root of the official names.
    ///
    /// - Parameter allowsNonfinite: hand out weights with NaN or infinity instead of throwing.
    public func cursor(allowsNonfinite: Bool = false) -> WeightCursor {
        WeightCursor(source, allowsNonfinite: allowsNonfinite)
    }

    /// Parameters that the file stores, each counted once, without the statistics of frozen batch normalisation.
    public var parameterCount: Int {
        var counted: Set<Int> = []
        return configuration.tensors.reduce(0) { sum, tensor in
            guard !tensor.isBuffer else { return sum }
            if let start = weights.storedOffset(of: tensor.name), !counted.insert(start).inserted {
                return sum
            }
            return sum + tensor.shape.count
        }
    }

    // MARK: - Opening

    /// The most trusted first: what the caller names, what lies beside the checkpoint, what the checkpoint itself says.
    private static func gatherHints(
        _ file: WeightFile, _ own: ModelMetadata?, _ configurationFile: String?, _ warnings: inout [String]
    ) throws -> [ConfigurationHints] {
        var hints: [ConfigurationHints] = []
        if let configurationFile {
            hints.append(
                try ConfigurationHints(huggingFace: JSONValue(contentsOf: configurationFile), origin: configurationFile)
            )
        }
        if let own {
            // A converted file carries everything; a config.json beside it belongs to something else.
            return hints + [ConfigurationHints(own.configuration, classNames: own.classNames, origin: file.path)]
        }
        let folder = file.path.lastIndex(of: "/").map { String(file.path[...$0]) } ?? ""
        let beside = folder + "config.json"
        if beside != configurationFile, access(beside, F_OK) == 0 {
            let json = try JSONValue(contentsOf: beside)
            if let type = json["model_type"], type != .string(ConfigurationHints.modelType) {
                warnings.append("\(beside) is about another kind of model (\(type.kind)) and is ignored")
            } else {
                hints.append(try ConfigurationHints(huggingFace: json, origin: beside))
            }
        }
        if let arguments = file.sideData["args"] {
            hints.append(try ConfigurationHints(arguments: arguments, origin: file.path))
        }
        return hints
    }

    /// Compares the whole table of contents with the model's.
    private static func requireTensors(
        _ configuration: Configuration, _ precision: ComputePrecision, _ weights: CanonicalWeights
    ) throws {
        var expected: Set<String> = []
        let tensors = configuration.tensors
        let quantization = precision == .int8 ? tensors.flatMap(\.quantizationTensors) : []
        for tensor in tensors.map({ ($0.name, $0.shape) }) + quantization {
            let tensor = (name: tensor.0, shape: tensor.1)
            guard let found = weights.shape(of: tensor.name) else {
                throw CheckpointError.missingTensor(path: weights.origin, name: tensor.name, expected: tensor.shape)
            }
            guard found == tensor.shape else {
                throw CheckpointError.wrongShape(
                    path: weights.origin, name: tensor.name, expected: tensor.shape, found: found)
            }
            expected.insert(tensor.name)
        }
        let extra = weights.names.filter { !expected.contains($0) }
        guard extra.isEmpty else { throw CheckpointError.unexpectedTensors(path: weights.origin, names: extra) }
    }

    private static func classNames(
        _ configuration: Configuration, _ hints: [ConfigurationHints]
    ) throws -> [String?] {
        let named = hints.first { $0.classNames?.isEmpty == false }
        guard let named, let names = named.classNames else {
            return configuration.classes == CocoClasses.names.count
                ? CocoClasses.names : Array(repeating: nil, count: configuration.classes)
        }
        var result = [String?](repeating: nil, count: configuration.classes)
        for (index, name) in names.sorted(by: { $0.key < $1.key }) {
            guard result.indices.contains(index) else {
                throw CheckpointError.configuration(
                    path: named.origin, key: "class names", expected: "ids below \(configuration.classes)",
                    found: "\(index)")
            }
            result[index] = name
        }
        return result
    }

    // MARK: - Converting

    /// Writes the model as `w.bin`: a safetensors file with official names, tensors 64-byte aligned, and the configuration and class
    /// names in its metadata.
    ///
    /// - Parameters:
    ///   - classNames: names by id in place of the checkpoint's.
    ///   - overlapLimit: in place of the checkpoint's.
    ///   - precision: what the weights that it rounds are stored as, and what the model will compute in; nil: the checkpoint's.
    ///   - calibration: for int8; nil: the checkpoint's own.
    /// - Throws: ``FileError``; ``CheckpointError`` when weights are damaged or not finite.
    public func write(
        to path: String, classNames: [String?]? = nil, overlapLimit: Float? = nil,
        precision: ComputePrecision? = nil, calibration: Calibration? = nil, allowsNonfinite: Bool = false
    ) throws {
        let precision = precision ?? self.precision
        let calibration = try calibration ?? (precision == .int8 ? Calibration(statedBy: self) : nil)
        try Self.write(
            cursor(allowsNonfinite: allowsNonfinite), configuration: configuration,
            classNames: classNames ?? self.classNames, preprocessing: preprocessing,
            overlapLimit: overlapLimit ?? self.overlapLimit, precision: precision, calibration: calibration, to: path)
    }

    /// Writes a model that is not, or not only, in a file, as ``write(to:classNames:overlapLimit:precision:calibration:allowsNonfinite:)`` does.
    ///
    /// - Parameters:
    ///   - parameters: all of the model's tensors under their official names; others are left out.
    ///   - classNames: by class id; nil where a column has no name.
    ///   - preprocessing: the size that the model was trained for.
    ///   - overlapLimit: where its detections' suppression is to begin; see ``Detector/overlapLimit``.
    /// - Throws: ``FileError``; ``CheckpointError`` when a parameter is missing, has another shape or is not finite.
    public static func write(
        _ parameters: some TensorSource, configuration: Configuration, classNames: [String?],
        preprocessing: Preprocessing?, overlapLimit: Float? = nil, to path: String
    ) throws {
        try write(
            WeightCursor(parameters), configuration: configuration, classNames: classNames,
            preprocessing: preprocessing, overlapLimit: overlapLimit, precision: .float32, calibration: nil,
            to: path)
    }

    private static func write(
        _ cursor: WeightCursor, configuration: Configuration, classNames: [String?], preprocessing: Preprocessing?,
        overlapLimit: Float?, precision: ComputePrecision, calibration: Calibration?, to path: String
    ) throws {
        let metadata = ModelMetadata(
            configuration: configuration, classNames: classNames, preprocessing: preprocessing,
            overlapLimit: overlapLimit, precision: precision)
        // In the network's order.
        let tensors = configuration.tensors
        let checked = CheckedTensors(cursor, tensors: tensors.map { ($0.name, $0.shape) })
        let rounded = precision == .float32 ? [] : Set(tensors.filter(\.isFactor).map(\.name))
        let strings = try metadata.strings()
        guard precision == .int8 else {
            return try SafetensorsWriter.write(checked, to: path, metadata: strings, alignment: 64) {
                rounded.contains($0) ? .bfloat16 : .float32
            }
        }
        let quantized = QuantizedWeights(checked, tensors: tensors, ranges: calibration?.ranges ?? [:])
        try SafetensorsWriter.write(quantized, to: path, metadata: strings, alignment: 64) {
            quantized.wholeNames.contains($0) ? .int8 : rounded.contains($0) ? .bfloat16 : .float32
        }
    }
}
