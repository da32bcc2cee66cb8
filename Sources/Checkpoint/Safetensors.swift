// The safetensors format: 8 bytes header size, a JSON header, then the tensors' bytes without holes.
// Source: https://github.com/huggingface/safetensors, README and safetensors/src/tensor.rs.

import Tensors

enum Safetensors {
    static let formatName = WeightFile.Format.safetensors.rawValue
    static let metadataKey = "__metadata__"
    /// The reference implementation's limit.
    static let maximumHeaderSize = 100_000_000
    static let maximumTensorCount = 65_536
    static let maximumRank = 8
    static let maximumNameLength = 512
    /// Entries that only keep the next tensor aligned; the format allows no holes. Written by ``SafetensorsWriter``.
    static let paddingPrefix = "__padding__."

    /// A header size that the file can hold, then a brace: nothing else that people call weights begins like this.
    static func isLikely(_ bytes: ByteView) -> Bool {
        guard bytes.count >= 8 else { return false }
        return (try? bytes.byte(at: 8)) == UInt8(ascii: "{")
    }

    static func read(_ file: MappedFile) throws -> WeightFile.Contents {
        let bytes = ByteView(file: file, format: formatName)
        let headerSize = try bytes.size(at: 0)
        guard headerSize <= maximumHeaderSize else {
            throw bytes.limitExceeded("header (bytes)", limit: maximumHeaderSize, found: headerSize)
        }
        let header = try bytes.view(at: 8, count: headerSize)
        let json = try JSONValue(
            parsing: header.withBytes { Array($0) }, origin: file.path, format: "\(formatName) header", offset: 8)
        guard case .object(let members) = json else {
            throw bytes.malformed("the header", expected: "a JSON object", found: json.kind)
        }
        guard members.count <= maximumTensorCount + 1 else {
            throw bytes.limitExceeded("tensors", limit: maximumTensorCount, found: members.count)
        }
        let dataStart = 8 + headerSize
        let dataCount = bytes.count - dataStart
        var contents = WeightFile.Contents()
        for member in members {
            if member.key == metadataKey {
                contents.metadata = try metadata(member.value, bytes)
            } else {
                contents.entries.append(try entry(member, dataStart, dataCount, bytes))
            }
        }
        try requireTiling(contents.entries, dataStart..<bytes.count, bytes)
        contents.entries.removeAll { $0.name.hasPrefix(paddingPrefix) }
        return contents
    }

    private static func metadata(_ value: JSONValue, _ bytes: ByteView) throws -> [String: String] {
        guard case .object(let members) = value else {
            throw bytes.malformed(metadataKey, expected: "an object of strings", found: value.kind)
        }
        var metadata: [String: String] = [:]
        for member in members {
            guard case .string(let text) = member.value else {
                throw bytes.malformed(
                    "\(metadataKey) '\(member.key.prefix(100))'", expected: "a string", found: member.value.kind)
            }
            metadata[member.key] = text
        }
        return metadata
    }

    private static func entry(
        _ member: JSONValue.Member, _ dataStart: Int, _ dataCount: Int, _ bytes: ByteView
    ) throws -> WeightFile.Entry {
        guard member.key.utf8.count <= maximumNameLength else {
            throw bytes.limitExceeded("name (bytes)", limit: maximumNameLength, found: member.key.utf8.count)
        }
        let location = "tensor '\(member.key)'"
        guard case .object(let fields) = member.value else {
            throw bytes.malformed(location, expected: "an object", found: member.value.kind)
        }
        for field in fields where !["dtype", "shape", "data_offsets"].contains(field.key) {
            throw bytes.malformed(
                location, expected: "only dtype, shape and data_offsets", found: "'\(field.key.prefix(100))'")
        }
        guard case .string(let typeName)? = member.value["dtype"] else {
            throw bytes.malformed(location, expected: "a dtype", found: member.value["dtype"]?.kind ?? "none")
        }
        guard let elementType = ElementType(rawValue: typeName) else {
            throw bytes.unsupported(
                "dtype '\(typeName.prefix(40))' of \(location)",
                advice: "save it as one of \(ElementType.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        let dimensions = try sizes(member.value["shape"], "shape", location, bytes)
        guard dimensions.count <= maximumRank else {
            throw bytes.limitExceeded("rank of \(location)", limit: maximumRank, found: dimensions.count)
        }
        let offsets = try sizes(member.value["data_offsets"], "data_offsets", location, bytes)
        guard offsets.count == 2, offsets[0] <= offsets[1], offsets[1] <= dataCount else {
            throw bytes.malformed(
                location, expected: "data_offsets [begin, end] with begin <= end <= \(dataCount)", found: "\(offsets)")
        }
        // The width goes into the checked product: a count that fits can still be too many bytes.
        let needed = Shape.checkedCount(of: dimensions + [elementType.byteCount])
        guard needed == offsets[1] - offsets[0] else {
            throw bytes.malformed(
                location,
                expected: needed.map { "\($0) bytes for \(typeName) \(dimensions)" } ?? "a shape that fits in memory",
                found: needed == nil ? "\(dimensions)" : "\(offsets[1] - offsets[0]) bytes")
        }
        let shape = Shape(dimensions)
        let start = dataStart + offsets[0]
        return WeightFile.Entry(
            name: member.key, elementType: elementType, shape: shape, strides: shape.contiguousStrides,
            byteOffset: start, storage: start..<dataStart + offsets[1])
    }

    private static func sizes(
        _ value: JSONValue?, _ field: String, _ location: String, _ bytes: ByteView
    ) throws -> [Int] {
        guard case .array(let elements)? = value else {
            throw bytes.malformed(location, expected: "\(field), an array", found: value?.kind ?? "none")
        }
        return try elements.map { element in
            guard case .integer(let size) = element, size >= 0 else {
                throw bytes.malformed(location, expected: "\(field) of whole numbers", found: element.kind)
            }
            return size
        }
    }

    /// Sorted by offset, each tensor begins where the one before ends, from the first byte of `data` to the last.
    private static func requireTiling(
        _ entries: [WeightFile.Entry], _ data: Range<Int>, _ bytes: ByteView
    ) throws {
        var end = data.lowerBound
        let sorted = entries.sorted {
            ($0.storage.lowerBound, $0.storage.upperBound) < ($1.storage.lowerBound, $1.storage.upperBound)
        }
        for entry in sorted {
            guard entry.storage.lowerBound == end else {
                throw bytes.malformed(
                    "tensor '\(entry.name)'",
                    expected: "data_offsets that begin at \(end - data.lowerBound), where the tensor before ends",
                    found: "\(entry.storage.lowerBound - data.lowerBound)")
            }
            end = entry.storage.upperBound
        }
        guard end == data.upperBound else {
            throw bytes.malformed(
                "the end", expected: "\(end - data.lowerBound) bytes of tensors", found: "\(data.count)")
        }
    }
}
