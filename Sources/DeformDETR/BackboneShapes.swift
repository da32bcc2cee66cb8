// What the shapes of tensors under the official names say about the backbone.

import Backbone
import Checkpoint
import Tensors

extension TensorSource {
    /// The residual network of the tensors under `backbone.0.body`. Whether its last stage is dilated, shapes do not show.
    ///
    /// - Throws: `CheckpointError` when its first tensors are missing or have other than four axes.
    func backboneConfiguration() throws -> ResNetConfiguration {
        let root = CheckpointNames.backbonePrefix
        let stemWidth = try shape(of: "\(root)conv1.weight", rank: 4)[0]
        let stages = count { "\(root)layer\($0 + 1).0.conv1.weight" }
        guard stages > 0 else {
            throw CheckpointError.missingTensor(path: origin, name: "\(root)layer1.0.conv1.weight", expected: nil)
        }
        let isBottleneck = shape(of: "\(root)layer1.0.conv3.weight") != nil
        let widths = try (1...stages).map { try shape(of: "\(root)layer\($0).0.conv2.weight", rank: 4)[0] }
        let depths = (1...stages).map { stage in count { "\(root)layer\(stage).\($0).conv1.weight" } }
        return ResNetConfiguration(
            block: isBottleneck ? .bottleneck : .basic, depths: depths, stemWidth: stemWidth, widths: widths)
    }

    /// The shape of a tensor; every extent is at least 1.
    ///
    /// - Throws: `CheckpointError` when it is missing or has another number of axes.
    func shape(of name: String, rank: Int) throws -> Shape {
        guard let shape = shape(of: name) else {
            throw CheckpointError.missingTensor(path: origin, name: name, expected: nil)
        }
        guard shape.rank == rank else {
            throw CheckpointError.configuration(
                path: origin, key: "tensor '\(name)'", expected: "\(rank) axes", found: "shape \(shape)")
        }
        return shape
    }

    /// The first number for which there is no tensor of that name.
    func count(_ name: (Int) -> String) -> Int {
        var count = 0
        while shape(of: name(count)) != nil { count += 1 }
        return count
    }
}
