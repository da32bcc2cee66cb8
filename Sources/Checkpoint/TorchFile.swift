// The two containers of torch.save around the same pickle: a zip archive since PyTorch 1.6, a stream of pickles before.
// Source: torch/serialization.py (_legacy_save, _save), caffe2/serialize/inline_container.h.

import Tensors

/// The zip archive: `NAME/data.pkl`, `NAME/byteorder`, and one record a storage, `NAME/data/KEY`.
enum TorchArchive {
    static func read(_ file: MappedFile) throws -> WeightFile.Contents {
        let bytes = ByteView(file: file, format: WeightFile.Format.torchArchive.rawValue)
        let archive = try ZipArchive(bytes)
        let pickles = archive.records.filter {
            $0.name.hasSuffix("/data.pkl") && $0.name.split(separator: "/").count == 2
        }
        guard pickles.count == 1 else {
            throw bytes.malformed("the directory", expected: "one record NAME/data.pkl", found: "\(pickles.count)")
        }
        let prefix = pickles[0].name.dropLast("data.pkl".count)
        var storages: [String: ZipArchive.Record] = [:]
        var unchecked = 0
        for record in archive.records {
            if record.checksum == 0, record.data.count > 0 { unchecked += 1 }
            if record.name.hasPrefix(prefix + "data/") {
                storages[String(record.name.dropFirst(prefix.count + "data/".count))] = record
            } else if record.name == prefix + "byteorder" {
                let order = try record.data.text(at: 0, count: record.data.count)
                guard order == "little" else {
                    throw bytes.unsupported(
                        "byte order '\(order.prefix(20))'", advice: "save it on a little-endian machine")
                }
            }
        }
        try verify(pickles[0])
        let document = try PickleReader.read(pickles[0].data)
        guard document.byteCount == pickles[0].data.count else {
            throw pickles[0].data.malformed(at: document.byteCount, expected: "the pickle's end", found: "more bytes")
        }
        var contents = try TorchDictionary.read(document, bytes) { storage in
            guard let record = storages[storage.key] else {
                throw bytes.malformed("the directory", expected: "a record data/\(storage.key)", found: "none")
            }
            guard record.data.count == storage.elementCount * storage.elementType.byteCount else {
                throw bytes.malformed(
                    "record '\(record.name)'",
                    expected: "\(storage.elementCount) elements \(storage.elementType.rawValue)",
                    found: "\(record.data.count) bytes")
            }
            return record.data.start
        }
        for record in storages.values where record.checksum != 0 {
            contents.checksums[record.data.start] = WeightFile.RecordChecksum(
                record: record.name, value: record.checksum, bytes: record.data)
        }
        if unchecked > 0 {
            contents.warnings.append("\(unchecked) records have no checksum, so damage would go unnoticed")
        }
        return contents
    }

    private static func verify(_ record: ZipArchive.Record) throws {
        guard record.checksum != 0 else { return }
        try WeightFile.RecordChecksum(record: record.name, value: record.checksum, bytes: record.data).verify()
    }
}

/// The stream: magic number, protocol version, system information, the data, the storages' keys, each one a pickle; then for each key
/// its element count and elements.
enum TorchStream {
    /// Protocol 2 and the magic number 0x1950A86A20F9469CFC6C.
    static let signature: [UInt8] = [
        0x80, 0x02, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E,
    ]
    private static let protocolVersion = 1001

    static func read(_ file: MappedFile) throws -> WeightFile.Contents {
        let bytes = ByteView(file: file, format: WeightFile.Format.torchStream.rawValue)
        var position = signature.count
        func nextPickle() throws -> PickleDocument {
            let document = try PickleReader.read(bytes.view(at: position, count: bytes.count - position))
            position += document.byteCount
            return document
        }
        guard case .integer(let version) = try nextPickle().root, version == protocolVersion else {
            throw bytes.malformed(at: position, expected: "protocol version \(protocolVersion)", found: "another")
        }
        let system = try nextPickle()
        for (key, value) in system.entries(of: system.root) ?? [] where key == "little_endian" {
            guard case .boolean(true) = value else {
                throw bytes.unsupported("big-endian numbers", advice: "save it on a little-endian machine")
            }
        }
        let document = try nextPickle()
        let keyDocument = try nextPickle()
        guard let keys = keyDocument.node(keyDocument.root), case .list = keys.kind else {
            throw bytes.malformed(at: position, expected: "a list of storage keys", found: "another value")
        }
        var storages: [String: TorchStorage] = [:]
        for node in document.nodes {
            guard case .storage(let storage) = node.kind else { continue }
            guard storages.updateValue(storage, forKey: storage.key).map({ $0 == storage }) ?? true else {
                throw bytes.malformed("storage '\(storage.key)'", expected: "one type and size", found: "two")
            }
        }
        var starts: [String: Int] = [:]
        for item in keys.items {
            guard case .string(let key) = item, let storage = storages[key], starts[key] == nil else {
                throw bytes.malformed(at: position, expected: "each storage's key once", found: "another key")
            }
            let elementCount = try bytes.size(at: position)
            guard elementCount == storage.elementCount else {
                throw bytes.malformed(
                    at: position, expected: "\(storage.elementCount) elements in storage '\(key)'",
                    found: "\(elementCount)")
            }
            let data = try bytes.view(at: position + 8, count: elementCount * storage.elementType.byteCount)
            starts[key] = data.start
            position = data.start + data.count
        }
        guard position == bytes.count else {
            throw bytes.malformed(at: position, expected: "the end", found: "\(bytes.count - position) more bytes")
        }
        return try TorchDictionary.read(document, bytes) { storage in
            guard let start = starts[storage.key] else {
                throw bytes.malformed("the storages", expected: "one with key '\(storage.key)'", found: "none")
            }
            return start
        }
    }
}

/// The top of what was saved: a dictionary with the weights under `model` or `state_dict`, or the weights themselves.
private enum TorchDictionary {
    private static let weightKeys = ["model", "state_dict"]
    /// So many values beside the weights are kept; an optimizer's thousands are of no interest.
    private static let sideValueBudget = 20_000

    /// - Parameter locate: gives the file offset of a storage's first byte after checking that all of it is there.
    static func read(
        _ document: PickleDocument, _ bytes: ByteView, locate: (TorchStorage) throws -> Int
    ) throws -> WeightFile.Contents {
        guard let top = document.entries(of: document.root) else {
            throw bytes.unsupported(
                "something else than a dictionary", advice: "save model.state_dict(), not the model itself")
        }
        let nested = weightKeys.lazy
            .compactMap { key in top.first { $0.key == key } }
            .first { document.entries(of: $0.value) != nil }
        let weights = nested.flatMap { document.entries(of: $0.value) } ?? top
        var contents = WeightFile.Contents()
        var ignored: [String] = []
        var elementCount = 0
        for (name, value) in weights {
            guard case .tensor(let tensor)? = document.node(value)?.kind else {
                ignored.append(name)
                continue
            }
            guard name.utf8.count <= Safetensors.maximumNameLength else {
                throw bytes.limitExceeded("name (bytes)", limit: Safetensors.maximumNameLength, found: name.utf8.count)
            }
            let start = try locate(tensor.storage)
            let width = tensor.storage.elementType.byteCount
            contents.entries.append(
                WeightFile.Entry(
                    name: name, elementType: tensor.storage.elementType, shape: tensor.shape, strides: tensor.strides,
                    byteOffset: start + (tensor.shape.count == 0 ? 0 : tensor.offset * width),
                    storage: start..<start + tensor.storage.elementCount * width))
            elementCount += tensor.shape.count
            // Many names for one storage are normal (tied heads), but not so many that they dwarf the file.
            guard elementCount / 8 <= bytes.count else {
                throw bytes.limitExceeded("elements under shared names", limit: bytes.count * 8, found: elementCount)
            }
        }
        guard !contents.entries.isEmpty else {
            throw bytes.malformed(
                "the top dictionary", expected: "tensors, or some under 'model' or 'state_dict'", found: "none")
        }
        guard contents.entries.count <= Safetensors.maximumTensorCount else {
            throw bytes.limitExceeded(
                "tensors", limit: Safetensors.maximumTensorCount, found: contents.entries.count)
        }
        if let nested {
            var side: [String: SideValue] = [:]
            var budget = sideValueBudget
            // The training script's options first: they say what the shapes cannot.
            for (key, value) in top.filter({ $0.key == "args" }) + top.filter({ $0.key != "args" })
            where key != nested.key && budget > 0 && key.utf8.count <= Safetensors.maximumNameLength {
                side[key] = document.sideValue(value, budget: &budget)
            }
            contents.sideData = .dictionary(side)
        }
        if !ignored.isEmpty {
            let shown = ignored.prefix(5).map { String($0.prefix(100)).replacingControlCharacters }.joined(
                separator: ", ")
            contents.warnings.append("\(ignored.count) entries beside the tensors are ignored: \(shown)")
        }
        return contents
    }
}
