// Reads the case files that tools/golden_grid_attention.py and tools/benchmark_attention.py write: for the tests, and for `attention-probe`.

import Checkpoint
import DeformableAttention
import Foundation
import Layers
import Tensors

/// A module of a reference implementation in a safetensors file: its parameters by their names there, its inputs, and in
/// `__metadata__` its class and arguments as "configuration", JSON.
package struct AttentionCase: Sendable {
    package let file: WeightFile
    package let module: Module

    /// The reference's classes, as this package has them.
    package enum Module: Sendable {
        /// deformable-attention's `DeformableAttention1D`, `2D` and `3D`.
        case grid(DeformableMultiHeadAttention.Configuration)
        /// transformers' `DeformableDetrMultiscaleDeformableAttention`.
        case multiScale(width: Int, heads: Int, points: Int, layout: LevelLayout)
        /// transformers' `MultiScaleDeformableAttention`: the step of it between the linear projections.
        case sampling(DeformableSampling, layout: LevelLayout)
    }

    /// - Throws: `FileError` and `CheckpointError` for a file that cannot be read, ``AttentionCaseError`` for one that
    ///   describes no module.
    package init(contentsOf path: String) throws {
        file = try WeightFile.open(path)
        guard let text = file.metadata["configuration"] else {
            throw AttentionCaseError(path: path, problem: "expected 'configuration' in the metadata, found none")
        }
        do {
            let arguments = try JSONDecoder().decode(Arguments.self, from: Data(text.utf8))
            guard let module = arguments.described else {
                throw AttentionCaseError(path: path, problem: "no module can be made of configuration \(text)")
            }
            self.module = module
        } catch let error as DecodingError {
            throw AttentionCaseError(path: path, problem: "configuration \(text) cannot be understood: \(error)")
        }
    }

    /// A tensor of the file, of finite numbers, with as many axes and of the extents given; nil stands for any extent.
    package func input(_ name: String, _ extents: [Int?]) throws -> Tensor {
        let cursor = WeightCursor(file)
        let found = cursor.shape(of: name) ?? Shape(extents.map { $0 ?? 0 })
        let agrees =
            found.rank == extents.count && zip(found.dimensions, extents).allSatisfy { $1 == nil || $0 == $1 }
        guard agrees else {
            let expected = extents.map { $0.map(String.init) ?? "any" }.joined(separator: ", ")
            throw AttentionCaseError(path: file.path, problem: "'\(name)' is \(found), expected [\(expected)]")
        }
        return try cursor.tensor(name, found)
    }
}

/// A file that is no case.
package struct AttentionCaseError: DiagnosedError {
    package let path: String
    package let problem: String

    package var code: String { "attention_case" }
    package var description: String { "\(path): \(problem)" }
}

/// The arguments of all classes, in the references' words.
private struct Arguments: Decodable {
    let module: String

    // deformable-attention
    let dim: Int?
    let dim_head: Int?
    let heads: Int?
    let downsample_factor: [Int]?
    let offset_scale: [Float]?
    let offset_kernel_size: [Int]?
    let offset_groups: Int?
    let cpb_log_distance: Bool?
    let group_queries: Bool?
    let group_key_values: Bool?
    let geometry: String?

    // transformers
    let d_model: Int?
    let points: Int?
    let level_sizes: [[Int]]?

    /// Nil when an argument that the class needs is missing or makes no sense. What the module itself checks, it checks.
    var described: AttentionCase.Module? {
        switch module {
        case "DeformableAttention1D": grid(rank: 1)
        case "DeformableAttention2D": grid(rank: 2)
        case "DeformableAttention3D": grid(rank: 3)
        case "DeformableDetrMultiscaleDeformableAttention": multiScale
        case "MultiScaleDeformableAttention": sampling
        default: nil
        }
    }

    private func grid(rank: Int) -> AttentionCase.Module? {
        guard let dim, let dim_head, let heads, let downsample_factor, let offset_scale, let offset_kernel_size,
            let offset_groups, let group_queries, let group_key_values, let geometry
        else { return nil }
        var configuration = DeformableMultiHeadAttention.Configuration(rank: rank, width: dim)
        configuration.headWidth = dim_head
        configuration.heads = heads
        configuration.downsampling = downsample_factor
        configuration.offsetScale = offset_scale
        configuration.offsetKernel = offset_kernel_size
        configuration.offsetGroups = offset_groups
        configuration.usesLogDistance = cpb_log_distance ?? true
        configuration.groupsQueries = group_queries
        configuration.groupsKeysAndValues = group_key_values
        switch geometry {
        case "reference": configuration.geometry = .reference
        case "corrected": configuration.geometry = .corrected
        default: return nil
        }
        return .grid(configuration)
    }

    private var multiScale: AttentionCase.Module? {
        guard let (width, heads, points, layout) = extents else { return nil }
        return .multiScale(width: width, heads: heads, points: points, layout: layout)
    }

    private var sampling: AttentionCase.Module? {
        guard let (width, heads, points, layout) = extents else { return nil }
        return .sampling(DeformableSampling(heads: heads, headWidth: width / heads, points: points), layout: layout)
    }

    private var extents: (width: Int, heads: Int, points: Int, layout: LevelLayout)? {
        guard let d_model, let heads, let points, let level_sizes, !level_sizes.isEmpty, heads > 0, d_model > 0,
            d_model % heads == 0, points > 0, points <= DeformableSampling.maximumSamples / level_sizes.count,
            level_sizes.allSatisfy({ $0.count == 2 && $0.allSatisfy { (1...1 << 15).contains($0) } })
        else { return nil }
        return (d_model, heads, points, LevelLayout(level_sizes.map { ValidSize(height: $0[0], width: $0[1]) }))
    }
}
