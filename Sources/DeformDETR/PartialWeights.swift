// A checkpoint as a store of parts: what a new model can start from, whole or not.

import Backbone
import Checkpoint
import Tensors

/// The tensors of any checkpoint under the official names of a Deformable DETR, whether or not they make a whole model.
///
/// Takes all namings that ``ModelFile`` takes, and torchvision's of a ResNet alone (`conv1.weight`, `layer1.0.bn1.bias`, ...),
/// which becomes the backbone.
public struct PartialWeights: TensorSource {
    private let weights: CanonicalWeights
    /// By official name; the backbone's prefix is not stored with a backbone alone, and heads can share one.
    private let storedNames: [String: String]
    public let names: [String]

    /// Reads the table of contents.
    ///
    /// - Parameters:
    ///   - file: open for as long as this lives.
    ///   - configuration: of the model that shall be started. Where it has a head for each decoder layer and the file one for all
    ///     (or the other way round), that one stands for all.
    /// - Throws: `CheckpointError` when two tensors claim one name and differ, or a part of a projection is missing.
    public init(_ file: WeightFile, for configuration: Configuration) throws {
        var weights = try CanonicalWeights(file)
        if configuration.sharesHeads, try weights.headsAreIdentical() { weights.removeHeadCopies() }
        let isBackbone = weights.names.contains("conv1.weight")
        var names: [String] = []
        var storedNames: [String: String] = [:]
        for stored in weights.names {
            let name = isBackbone ? CheckpointNames.backbonePrefix + stored : stored
            names.append(name)
            storedNames[name] = stored
        }
        if !configuration.sharesHeads {
            for kind in ["class_embed", "bbox_embed"] where weights.headIndices(kind) == [0] {
                for stored in weights.names {
                    guard let head = CheckpointNames.head(of: stored), head.kind == kind else { continue }
                    for index in 1..<max(1, configuration.headCount) {
                        let name = "\(kind).\(index).\(head.rest)"
                        names.append(name)
                        storedNames[name] = stored
                    }
                }
            }
        }
        self.weights = weights
        self.names = names
        self.storedNames = storedNames
    }

    public var origin: String { weights.origin }

    /// The shape of the backbone in it; nil when it has none.
    ///
    /// - Throws: `CheckpointError` for one that is no residual network.
    public func backbone() throws -> ResNetConfiguration? {
        names.contains { $0.hasPrefix(CheckpointNames.backbonePrefix) } ? try backboneConfiguration() : nil
    }

    public func shape(of name: String) -> Shape? { storedNames[name].flatMap(weights.shape) }

    public func tensor(_ name: String) throws -> Tensor {
        guard let stored = storedNames[name] else {
            throw CheckpointError.missingTensor(path: origin, name: name, expected: nil)
        }
        return try weights.tensor(stored)
    }
}
