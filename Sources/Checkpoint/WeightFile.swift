// One view of every weights format: a mapped file, and where in it each tensor lies. The formats differ only in who fills this in.

import Synchronization
import Tensors

/// A file of weights, open for reading tensors one at a time. Opening reads its table of contents only.
///
/// The file stays mapped as long as this object or a large tensor of it lives. Replace it meanwhile only by renaming another file
/// over it: rewriting it in place changes tensors that have been handed out, and shortening it ends the process that touches them.
public final class WeightFile: TensorSource {
    /// The formats that are told apart, by content and never by name.
    public enum Format: String, Sendable {
        case safetensors = "safetensors"
        case torchArchive = "PyTorch zip archive"
        case torchStream = "PyTorch legacy stream"
    }

    /// One tensor of the file.
    public struct Entry: Sendable, Equatable {
        public let name: String
        public let elementType: ElementType
        public let shape: Shape
        /// Distances in elements between neighbours along each axis.
        let strides: [Int]
        /// Where the first element lies in the file, in bytes.
        public let byteOffset: Int
        /// The bytes of the file that the tensor's storage has; storages can be shared.
        let storage: Range<Int>

        /// Bytes that the elements take in the file.
        public var byteCount: Int { shape.count * elementType.byteCount }

        /// Whether both are views of the same elements.
        public func isAlias(of other: Entry) -> Bool {
            byteOffset == other.byteOffset && shape == other.shape && strides == other.strides
                && elementType == other.elementType
        }
    }

    /// Smaller tensors (biases, norms) are copied: layers keep them as they are for good, while large ones are soon packed.
    private static let smallestView = 64 << 10

    public let path: String
    public let format: Format
    /// In the file's order.
    public let entries: [Entry]
    /// safetensors: the strings of `__metadata__`.
    public let metadata: [String: String]
    /// PyTorch: the rest of the top dictionary (`args`, `epoch`, ...) as inert data; `.none` for safetensors.
    public let sideData: SideValue
    /// What is odd but harmless.
    public let warnings: [String]

    private let file: MappedFile
    private let indexByName: [String: Int]
    /// Checksums that have not been compared yet, by the storage's first byte.
    private let checksums: Mutex<[Int: RecordChecksum]>

    /// What a format's reader finds out about a file.
    struct Contents {
        var entries: [Entry] = []
        var metadata: [String: String] = [:]
        var sideData: SideValue = .none
        var warnings: [String] = []
        var checksums: [Int: RecordChecksum] = [:]
    }

    /// A record of an archive and the checksum stated for it.
    struct RecordChecksum: Sendable {
        let record: String
        let value: UInt32
        let bytes: ByteView
    }

    /// Opens a file of any known format.
    ///
    /// - Throws: ``FileError`` when the system refuses, ``CheckpointError`` when the content is not acceptable.
    public static func open(_ path: String) throws -> WeightFile {
        let file = try MappedFile(path: path)
        let whole = ByteView(file: file, format: "weights file")
        if whole.starts(with: ZipArchive.signature) {
            return try WeightFile(file, .torchArchive, TorchArchive.read(file))
        }
        if whole.starts(with: TorchStream.signature) {
            return try WeightFile(file, .torchStream, TorchStream.read(file))
        }
        if Safetensors.isLikely(whole) {
            return try WeightFile(file, .safetensors, Safetensors.read(file))
        }
        throw CheckpointError.unknownFormat(path: path, found: describeUnknown(whole))
    }

    private init(_ file: MappedFile, _ format: Format, _ contents: Contents) throws {
        self.file = file
        self.format = format
        path = file.path
        entries = contents.entries
        metadata = contents.metadata
        sideData = contents.sideData
        warnings = contents.warnings
        checksums = Mutex(contents.checksums)
        var indexByName: [String: Int] = [:]
        for (index, entry) in contents.entries.enumerated() {
            guard indexByName.updateValue(index, forKey: entry.name) == nil else {
                throw CheckpointError.malformed(
                    path: file.path, format: format.rawValue, location: "tensor '\(entry.name)'",
                    expected: "each name once", found: "the name again")
            }
        }
        self.indexByName = indexByName
    }

    public var origin: String { path }

    public var names: [String] { entries.map(\.name) }

    /// The tensor's place in the file; nil when there is no such tensor.
    public func entry(named name: String) -> Entry? { indexByName[name].map { entries[$0] } }

    public func shape(of name: String) -> Shape? { entry(named: name)?.shape }

    /// The tensor as float32: a view of the mapped file from 64 KiB on, where its bytes allow; otherwise a copy.
    public func tensor(_ name: String) throws -> Tensor { try stored(name)() }

    public func stored(_ name: String) throws -> StoredTensor {
        guard let entry = entry(named: name) else {
            throw CheckpointError.missingTensor(path: path, name: name, expected: nil)
        }
        try verifyChecksum(of: entry)
        guard entry.elementType == .int8, let steps = self.entry(named: name + Self.stepSuffix) else {
            return StoredTensor(shape: entry.shape) { self.read(entry) }
        }
        guard entry.shape.rank > 0, steps.shape == [entry.shape[0]] else {
            throw CheckpointError.wrongShape(
                path: path, name: steps.name, expected: Shape([entry.shape.dimensions.first ?? 0]), found: steps.shape)
        }
        return StoredTensor(shape: entry.shape, steps: try tensor(steps.name).elements) { self.read(entry) }
    }

    /// What the name of a tensor ends in that says what another one's whole numbers count, by row: `weight_step` beside a `weight` of
    /// int8, which is read as their product.
    package static let stepSuffix = "_step"

    private func read(_ entry: Entry) -> Tensor {
        let isContiguous = entry.strides == entry.shape.contiguousStrides
        if entry.elementType == .float32, isContiguous, entry.byteOffset % 4 == 0,
            entry.byteCount >= Self.smallestView, UInt32(1).littleEndian == 1
        {
            return Tensor(entry.shape, mappedFile: file, byteOffset: entry.byteOffset)
        }
        // The readers have checked that every element lies inside the storage, and the storage inside the file.
        let storage = UnsafeRawBufferPointer(rebasing: file.bytes[entry.byteOffset..<entry.storage.upperBound])
        // Converted, the file's own numbers are not needed beside them.
        defer { file.dropPages(in: entry.byteOffset..<entry.storage.upperBound) }
        return withExtendedLifetime(file) {
            Tensor(entry.shape) { elements in
                if isContiguous {
                    entry.elementType.convert(storage, stride: 1, into: elements)
                } else {
                    copyStrided(entry, storage, into: elements)
                }
            }
        }
    }

    /// Row by row along the last axis, with an index that counts like an odometer over the others.
    private func copyStrided(
        _ entry: Entry, _ storage: UnsafeRawBufferPointer, into elements: UnsafeMutableBufferPointer<Float>
    ) {
        guard !elements.isEmpty else { return }
        let rowLength = entry.shape.last
        let rowStride = entry.strides.last ?? 1
        var index = [Int](repeating: 0, count: max(0, entry.shape.rank - 1))
        for rowStart in stride(from: 0, to: elements.count, by: rowLength) {
            let offset = zip(index, entry.strides).reduce(0) { $0 + $1.0 * $1.1 } * entry.elementType.byteCount
            entry.elementType.convert(
                UnsafeRawBufferPointer(rebasing: storage[offset...]), stride: rowStride,
                into: UnsafeMutableBufferPointer(rebasing: elements[rowStart..<rowStart + rowLength]))
            for axis in index.indices.reversed() {
                index[axis] += 1
                if index[axis] < entry.shape[axis] { break }
                index[axis] = 0
            }
        }
    }

    /// Compares an archive's checksum the first time that one of the record's tensors is read.
    private func verifyChecksum(of entry: Entry) throws {
        guard let checksum = checksums.withLock({ $0[entry.storage.lowerBound] }) else { return }
        try checksum.verify()
        checksums.withLock { _ = $0.removeValue(forKey: entry.storage.lowerBound) }
    }

    /// Names what people pass by mistake.
    private static func describeUnknown(_ bytes: ByteView) -> String {
        let beginning = String(decoding: bytes.withBytes { Array($0.prefix(64)) }, as: UTF8.self)
        if bytes.count == 0 { return "an empty file" }
        if beginning.hasPrefix("version https://git-lfs") {
            return "a Git LFS pointer: fetch the real file with 'git lfs pull'"
        }
        if beginning.hasPrefix("<") { return "a web page or XML: was the download redirected to a log-in page?" }
        if beginning.hasPrefix("{") { return "JSON text: name the weights file, not its configuration or index" }
        let firstBytes = bytes.withBytes { $0.prefix(8).map { String($0, radix: 16) } }
        return "\(bytes.count) bytes that begin with \(firstBytes.joined(separator: " "))"
    }
}

extension WeightFile.RecordChecksum {
    /// - Throws: ``CheckpointError/wrongChecksum(path:record:expected:found:)``.
    func verify() throws {
        let found = bytes.withBytes(CRC32.checksum)
        guard found == value else {
            throw CheckpointError.wrongChecksum(path: bytes.file.path, record: record, expected: value, found: found)
        }
    }
}

extension Shape {
    /// The distances between neighbours when the last axis is contiguous and there are no gaps. Of no meaning, but defined, when
    /// an extent is 0: the others can then be so large that their product wraps.
    var contiguousStrides: [Int] {
        var strides = [Int](repeating: 1, count: rank)
        for axis in (0..<max(0, rank - 1)).reversed() {
            strides[axis] = strides[axis + 1] &* max(1, self[axis + 1])
        }
        return strides
    }

    /// `strides` with those of axes of extent 0 or 1, which mean nothing, replaced by what a contiguous tensor would have.
    func normalizedStrides(_ strides: [Int]) -> [Int] {
        zip(dimensions, zip(strides, contiguousStrides)).map { extent, pair in extent > 1 ? pair.0 : pair.1 }
    }
}
