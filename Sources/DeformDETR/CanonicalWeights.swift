// A checkpoint of any naming, seen under the official names: renamed, projections joined, copies of shared heads left out.

import Checkpoint
import Tensors

/// The tensors of a model under their official names.
struct CanonicalWeights: TensorSource {
    /// How an official tensor is made of the file's.
    enum Recipe: Sendable {
        case stored(WeightFile.Entry)
        /// The rows of several tensors, one after the other.
        case joined([WeightFile.Entry])
    }

    let file: WeightFile
    /// Whether box heads were stored inside the decoder.
    let hasDecoderBoxHeads: Bool
    private(set) var names: [String] = []
    private var recipes: [String: Recipe] = [:]

    /// - Throws: ``CheckpointError`` when two tensors claim one name and differ, or a projection is incomplete.
    init(_ file: WeightFile) throws {
        for entry in file.entries where entry.shape.count == 0 && !CheckpointNames.isIgnored(entry.name) {
            throw CheckpointError.malformed(
                path: file.path, format: file.format.rawValue, location: "tensor '\(entry.name)'",
                expected: "at least one element", found: "shape \(entry.shape)")
        }
        self.file = file
        let isHuggingFace = CheckpointNames.areHuggingFace(file.names)
        hasDecoderBoxHeads = file.names.contains(where: CheckpointNames.isDecoderBoxHead)
        var stored: [String: WeightFile.Entry] = [:]
        for entry in file.entries {
            guard let name = CheckpointNames.official(entry.name, isHuggingFace: isHuggingFace) else { continue }
            if let other = stored[name] {
                try Self.requireEqual(entry, other, in: file)
                continue
            }
            stored[name] = entry
            let joined = CheckpointNames.joinedProjection(of: name) ?? name
            if recipes[joined] == nil {
                names.append(joined)
                recipes[joined] = .stored(entry)
            }
        }
        for name in names {
            guard let parts = CheckpointNames.projectionParts(of: name) else { continue }
            let found = parts.compactMap { stored[$0] }
            if found.isEmpty { continue }
            guard stored[name] == nil else {
                throw CheckpointError.unexpectedTensors(path: file.path, names: found.map(\.name))
            }
            for part in parts where stored[part] == nil {
                throw CheckpointError.missingTensor(path: file.path, name: part, expected: found[0].shape)
            }
            guard found[0].shape.rank > 0 else {
                throw CheckpointError.configuration(
                    path: file.path, key: "tensor '\(found[0].name)'", expected: "at least one axis",
                    found: "shape \(found[0].shape)")
            }
            for entry in found where entry.shape != found[0].shape {
                throw CheckpointError.wrongShape(
                    path: file.path, name: entry.name, expected: found[0].shape, found: entry.shape)
            }
            recipes[name] = .joined(found)
        }
    }

    var origin: String { file.path }

    func shape(of name: String) -> Shape? {
        switch recipes[name] {
        case .stored(let entry): entry.shape
        case .joined(let entries):
            entries.first.map { Shape([$0.shape[0] * entries.count] + $0.shape.dimensions.dropFirst()) }
        case nil: nil
        }
    }

    func tensor(_ name: String) throws -> Tensor {
        switch recipes[name] {
        case .stored: return try stored(name)()
        case .joined(let entries):
            let parts = try entries.map { try file.tensor($0.name) }
            return Tensor(shape(of: name) ?? []) { elements in
                var start = 0
                for part in parts {
                    part.withElements { _ = elements[start...].update(fromContentsOf: $0) }
                    start += part.count
                }
            }
        case nil: throw CheckpointError.missingTensor(path: origin, name: name, expected: nil)
        }
    }

    func stored(_ name: String) throws -> StoredTensor {
        if case .stored(let entry) = recipes[name] { return try file.stored(entry.name) }
        let tensor = try tensor(name)
        return StoredTensor(shape: tensor.shape) { tensor }
    }

    /// Where in the file a tensor's elements lie: the same for names that share them.
    func storedOffset(of name: String) -> Int? {
        guard case .stored(let entry)? = recipes[name] else { return nil }
        return entry.byteOffset
    }

    // MARK: - Heads

    /// The indices N under which `kind.N...` is stored.
    func headIndices(_ kind: String) -> Set<Int> {
        Set(names.compactMap(CheckpointNames.head).filter { $0.kind == kind }.map(\.index))
    }

    /// Whether all heads are bit by bit the same: aliases of one that the file format wrote out.
    func headsAreIdentical() throws -> Bool {
        for name in names {
            guard let head = CheckpointNames.head(of: name), head.index != 0 else { continue }
            guard case .stored(let entry)? = recipes[name],
                case .stored(let first)? = recipes["\(head.kind).0.\(head.rest)"],
                try Self.areEqual(entry, first, in: file)
            else { return false }
        }
        return true
    }

    /// Leaves head 0 alone, which all decoder layers share.
    mutating func removeHeadCopies() {
        for name in names where (CheckpointNames.head(of: name)?.index ?? 0) != 0 { recipes[name] = nil }
        names.removeAll { recipes[$0] == nil }
    }

    /// Lets class head 0 stand for all of `count` heads: transformers 5 shares it in models with refinement.
    mutating func shareClassHead(count: Int) {
        for kind in ["weight", "bias"] {
            guard let recipe = recipes["class_embed.0.\(kind)"] else { continue }
            for head in 1..<max(1, count) {
                let name = "class_embed.\(head).\(kind)"
                recipes[name] = recipe
                names.append(name)
            }
        }
    }

    private static func requireEqual(_ entry: WeightFile.Entry, _ other: WeightFile.Entry, in file: WeightFile) throws {
        guard try areEqual(entry, other, in: file) else {
            throw CheckpointError.malformed(
                path: file.path, format: file.format.rawValue, location: "tensor '\(entry.name)'",
                expected: "the same values as '\(other.name)', of which it is a copy", found: "others")
        }
    }

    private static func areEqual(_ entry: WeightFile.Entry, _ other: WeightFile.Entry, in file: WeightFile) throws
        -> Bool
    {
        if entry.isAlias(of: other) { return true }
        guard entry.shape == other.shape else { return false }
        return try file.tensor(entry.name).withElements { elements in
            try file.tensor(other.name).withElements { others in
                elements.elementsEqual(others) { $0.bitPattern == $1.bitPattern }
            }
        }
    }
}
