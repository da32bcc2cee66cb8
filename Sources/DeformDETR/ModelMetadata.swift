// What `w.bin` says about its model in the strings of safetensors' `__metadata__`.

import Checkpoint
import Foundation
import Layers

/// The keys of the metadata.
enum MetadataKey {
    static let version = "detect_format_version"
    static let configuration = "configuration"
    static let classNames = "class_names"
    static let dtype = "dtype"
    static let preprocessing = "preprocessing"
    static let overlapLimit = "nms"
}

extension Configuration {
    /// Reads what ``json`` has written.
    ///
    /// - Parameters:
    ///   - origin: the path of the file that the text comes from, for errors; `key` likewise its place there.
    /// - Throws: ``CheckpointError`` for a text that is no configuration, or one beyond all limits.
    public init(json text: String, origin: String, key: String) throws {
        // The strict reader first: it bounds what the decoder gets to see.
        _ = try JSONValue(parsing: Array(text.utf8), origin: "\(origin), \(key)")
        do {
            self = try JSONDecoder().decode(Configuration.self, from: Data(text.utf8))
        } catch {
            throw CheckpointError.configuration(
                path: origin, key: key, expected: "a configuration", found: "\(error)")
        }
        // Decoded numbers can be anything.
        try requireWithinLimits(origin: origin, queriesOrigin: origin)
    }

    /// The configuration as one line of text.
    public func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }
}

extension Preprocessing {
    /// Reads what ``json`` has written.
    ///
    /// - Parameters:
    ///   - origin: the path of the file that the text comes from, for errors; `key` likewise its place there.
    /// - Throws: ``CheckpointError`` for sizes that no image could be brought to.
    public init(json text: String, origin: String, key: String) throws {
        let json = try JSONValue(parsing: Array(text.utf8), origin: "\(origin), \(key)")
        guard case .integer(let shorter)? = json["shorterSide"], case .integer(let longest)? = json["longestSide"],
            Self.sides ~= shorter, Self.sides ~= longest, shorter <= longest
        else {
            throw CheckpointError.configuration(
                path: origin, key: key,
                expected: "shorterSide and longestSide, \(Self.sides.lowerBound) to \(Self.sides.upperBound) pixels",
                found: "\(text.prefix(80))")
        }
        self.init(shorterSide: shorter, longestSide: longest)
    }

    /// The sizes as one line of text.
    public var json: String { #"{"shorterSide": \#(shorterSide), "longestSide": \#(longestSide)}"# }
}

extension ComputePrecision {
    /// How `w.bin` calls it.
    public var dtype: String {
        switch self {
        case .float32: "f32"
        case .bfloat16: "bf16"
        case .int8: "int8"
        }
    }
}

/// The configuration and class names that a converted file carries.
struct ModelMetadata {
    static let version = "1"

    let configuration: Configuration
    let classNames: [Int: String]
    /// The size that the model was trained for; nil when nothing was said.
    let preprocessing: Preprocessing?
    /// See ``Detector/overlapLimit``; nil when nothing was said.
    let overlapLimit: Float?
    /// What the weights are stored as, and the model computes in unless told otherwise.
    let precision: ComputePrecision

    init(
        configuration: Configuration, classNames: [String?], preprocessing: Preprocessing?, overlapLimit: Float?,
        precision: ComputePrecision
    ) {
        self.precision = precision
        self.configuration = configuration
        self.preprocessing = preprocessing
        self.overlapLimit = overlapLimit
        var names: [Int: String] = [:]
        for (index, name) in classNames.enumerated() { names[index] = name }
        self.classNames = names
    }

    /// Reads the metadata of a file; nil when it has not been written by this package.
    ///
    /// - Throws: ``CheckpointError`` when it has, but by a version that this one cannot read, or is damaged.
    init?(_ file: WeightFile) throws {
        guard file.metadata[MetadataKey.version] != nil else { return nil }
        func require(_ key: String, _ expected: [String]) throws -> String {
            let found = file.metadata[key]
            guard let found, expected.contains(found) else {
                throw CheckpointError.configuration(
                    path: file.path, key: "metadata '\(key)'",
                    expected: expected.map { "'\($0)'" }.joined(separator: " or ")
                        + " (a newer version may have written it)",
                    found: found.map { "'\($0.prefix(40))'" } ?? "none")
            }
            return found
        }
        _ = try require(MetadataKey.version, [Self.version])
        let dtype = try require(MetadataKey.dtype, ComputePrecision.allCases.map(\.dtype))
        precision = ComputePrecision.allCases.first { $0.dtype == dtype } ?? .float32
        configuration = try Configuration(
            json: file.metadata[MetadataKey.configuration] ?? "", origin: file.path,
            key: "metadata '\(MetadataKey.configuration)'")
        let names = try JSONValue(
            parsing: Array((file.metadata[MetadataKey.classNames] ?? "").utf8),
            origin: "\(file.path), metadata '\(MetadataKey.classNames)'")
        guard case .array(let elements) = names, elements.count <= configuration.classes else {
            throw CheckpointError.configuration(
                path: file.path, key: "metadata '\(MetadataKey.classNames)'",
                expected: "a list of at most \(configuration.classes) names", found: names.kind)
        }
        var classNames: [Int: String] = [:]
        for (index, element) in elements.enumerated() {
            switch element {
            case .string(let name): classNames[index] = name
            case .null: break
            default:
                throw CheckpointError.configuration(
                    path: file.path, key: "metadata '\(MetadataKey.classNames)'", expected: "names or null",
                    found: element.kind)
            }
        }
        self.classNames = classNames
        preprocessing = try file.metadata[MetadataKey.preprocessing].map {
            try Preprocessing(json: $0, origin: file.path, key: "metadata '\(MetadataKey.preprocessing)'")
        }
        overlapLimit = try file.metadata[MetadataKey.overlapLimit].map { text in
            guard let limit = Float(text), 0...1 ~= limit else {
                throw CheckpointError.configuration(
                    path: file.path, key: "metadata '\(MetadataKey.overlapLimit)'", expected: "a number from 0 to 1",
                    found: "'\(text.prefix(40))'")
            }
            return limit
        }
    }

    /// The strings to write.
    func strings() throws -> [String: String] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        let names = (0..<configuration.classes).map { classNames[$0] }
        var strings = [
            MetadataKey.version: Self.version,
            MetadataKey.dtype: precision.dtype,
            MetadataKey.configuration: try configuration.json(),
            MetadataKey.classNames: String(decoding: try encoder.encode(names), as: UTF8.self),
        ]
        if let preprocessing {
            strings[MetadataKey.preprocessing] = preprocessing.json
        }
        strings[MetadataKey.overlapLimit] = overlapLimit.map { "\($0)" }
        return strings
    }
}
