// From the paths of a command line to the images to detect in: folders listed, links followed, everything examined by its
// content. Nothing is decoded here.

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif
import DeformDETR
import Tensors

/// One file to detect in, or the reason why a path named by the user is none.
struct Input: Sendable {
    /// As the user gave it; a folder's files have the folder's path in front.
    let path: FilePath
    /// What the first bytes say; nil when they are no image's or cannot be read.
    var kind: ImageFormat?
    /// Nil when there is no such file.
    var identity: FileIdentity?
    /// Known already to be no readable file.
    var problem: Failure?
}

extension ImageFormat {
    /// Extensions that promise such an image.
    static let extensions: Set<String> = ["jpg", "jpeg", "jpe", "jfif", "png"]

    /// Whether a file of this extension (lower case) is expected to be of this format.
    func matches(fileExtension: String) -> Bool {
        Self.extensions.contains(fileExtension) && (self == .png) == (fileExtension == "png")
    }
}

/// What a file's first bytes are.
enum Content: Equatable {
    case image(ImageFormat)
    /// An image in a format that is not read, by its usual name.
    case foreignImage(String)
    case other

    init(firstBytes bytes: [UInt8]) {
        func matches(_ text: String, at offset: Int = 0) -> Bool { bytes.dropFirst(offset).starts(with: text.utf8) }
        if let format = ImageFormat(firstBytes: bytes) {
            self = .image(format)
        } else if matches("GIF8") {
            self = .foreignImage("GIF")
        } else if matches("RIFF"), matches("WEBP", at: 8) {
            self = .foreignImage("WebP")
        } else if matches("II*\0") || matches("MM\0*") {
            self = .foreignImage("TIFF")
        } else if matches("ftypheic", at: 4) || matches("ftypheix", at: 4) || matches("ftypmif1", at: 4) {
            self = .foreignImage("HEIC")
        } else if matches("ftypavif", at: 4) {
            self = .foreignImage("AVIF")
        } else if matches("BM"), bytes.count >= 16, bytes[6...9].allSatisfy({ $0 == 0 }) {
            self = .foreignImage("BMP")
        } else {
            self = .other
        }
    }
}

/// Lists inputs: files as they are, folders in sorted order.
struct InputScanner {
    /// Whether folders inside folders are read.
    let isRecursive: Bool
    /// The folder that is written to: never read when it is met inside another.
    let outputFolder: FileIdentity?

    private(set) var inputs: [Input] = []
    /// The folders and files that the user named, for naming outputs.
    private(set) var roots: [FilePath] = []
    /// Files in folders that are no images.
    private(set) var skippedFiles = 0
    /// Images in folders, in formats that are not read.
    private(set) var skippedFormats: [String: Int] = [:]
    /// Folders in folders, without `--recursive`.
    private(set) var skippedFolders = 0
    /// Named folders in which there was nothing to detect in.
    private(set) var emptyFolders: [FilePath] = []

    init(isRecursive: Bool, outputFolder: FileIdentity?) {
        self.isRecursive = isRecursive
        self.outputFolder = outputFolder
    }

    /// Adds a path that the user named: always an input, whatever it turns out to be.
    mutating func add(_ path: FilePath) {
        do {
            let status = try FileStatus(of: path)
            guard status.kind == .folder else {
                roots.append(path.folder)
                return inputs.append(Self.file(path, status))
            }
            roots.append(path)
            let count = inputs.count
            var visited: Set<FileIdentity> = [status.identity]
            addFolder(path, depth: 0, visited: &visited)
            if inputs.count == count { emptyFolders.append(path) }
        } catch {
            roots.append(path.folder)
            inputs.append(Input(path: path, problem: Self.explain(error, path)))
        }
    }

    /// The image at `path`, which another file names; whatever is wrong with it becomes its problem.
    static func image(at path: FilePath) -> Input {
        do {
            let status = try FileStatus(of: path)
            guard status.kind != .folder else { throw FileError(path: path.text, action: "read", systemCode: EISDIR) }
            return file(path, status)
        } catch {
            return Input(path: path, problem: explain(error, path))
        }
    }

    private static func file(_ path: FilePath, _ status: FileStatus) -> Input {
        var input = Input(path: path, identity: status.identity)
        if status.kind != .regular {
            input.problem = Failure(
                code: "not_a_file", "\(path.text): expected a file or folder, found a device, pipe or socket")
        } else {
            do {
                if case .image(let kind) = Content(firstBytes: try firstBytes(of: path)) { input.kind = kind }
            } catch {
                input.problem = Failure(error)
            }
        }
        return input
    }

    /// Links are followed; a folder that is reached twice is read once, so loops end.
    private mutating func addFolder(_ folder: FilePath, depth: Int, visited: inout Set<FileIdentity>) {
        let names: [[UInt8]]
        do {
            // Deeper than any path that the system would open.
            guard depth < 2048 else { throw FileError(path: folder.text, action: "open", systemCode: ENAMETOOLONG) }
            names = try Self.entries(of: folder)
        } catch {
            inputs.append(Input(path: folder, problem: Failure(error)))
            return
        }
        for name in names {
            let path = folder.appending(name)
            let promisesImage = ImageFormat.extensions.contains(path.fileExtension)
            do {
                let status = try FileStatus(of: path)
                switch status.kind {
                case .folder:
                    if status.identity == outputFolder { continue }
                    if !isRecursive && promisesImage {
                        let problem = Failure(
                            code: "is_a_folder", "\(path.text): a folder with an image's name; --recursive reads it")
                        inputs.append(Input(path: path, problem: problem))
                    } else if !isRecursive {
                        skippedFolders += 1
                    } else if visited.insert(status.identity).inserted {
                        addFolder(path, depth: depth + 1, visited: &visited)
                    }
                case .regular:
                    let content = try Content(firstBytes: Self.firstBytes(of: path))
                    if case .image(let kind) = content {
                        inputs.append(Input(path: path, kind: kind, identity: status.identity))
                    } else if promisesImage {
                        inputs.append(Input(path: path, identity: status.identity))
                    } else if case .foreignImage(let format) = content {
                        skippedFormats[format, default: 0] += 1
                    } else {
                        skippedFiles += 1
                    }
                case .link, .other:
                    if promisesImage {
                        inputs.append(Self.file(path, status))
                    } else {
                        skippedFiles += 1
                    }
                }
            } catch {
                // Broken links and unreadable files count when their name promises an image.
                if promisesImage {
                    inputs.append(Input(path: path, problem: Self.explain(error, path)))
                } else {
                    skippedFiles += 1
                }
            }
        }
    }

    /// The names in a folder, sorted by their bytes, without hidden ones.
    private static func entries(of folder: FilePath) throws -> [[UInt8]] {
        guard let stream = folder.withCString({ opendir($0) }) else {
            throw FileError(path: folder.text, action: "open", systemCode: errno)
        }
        defer { closedir(stream) }
        var names: [[UInt8]] = []
        errno = 0
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
            if name.first != UInt8(ascii: ".") { names.append(name) }
            errno = 0
        }
        guard errno == 0 else { throw FileError(path: folder.text, action: "list", systemCode: errno) }
        return names.sorted { $0.lexicographicallyPrecedes($1) }
    }

    /// At most 16 bytes.
    private static func firstBytes(of path: FilePath) throws -> [UInt8] {
        let descriptor = path.withCString { open($0, O_RDONLY | O_CLOEXEC | O_NONBLOCK) }
        guard descriptor >= 0 else { throw FileError(path: path.text, action: "open", systemCode: errno) }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 16)
        let count = read(descriptor, &bytes, bytes.count)
        guard count >= 0 else { throw FileError(path: path.text, action: "read", systemCode: errno) }
        return Array(bytes.prefix(count))
    }

    private static func explain(_ error: any Error, _ path: FilePath) -> Failure {
        let text = path.text
        if text.hasPrefix("http://") || text.hasPrefix("https://") {
            return Failure(code: "not_found", "\(text): this is a web address; download the image and name the file")
        }
        if let link = try? FileStatus(of: path, followsLinks: false), link.kind == .link,
            (error as? FileError)?.systemCode == ENOENT
        {
            return Failure(code: "dangling_link", "\(text): a link to a file that does not exist")
        }
        return Failure(error)
    }
}
