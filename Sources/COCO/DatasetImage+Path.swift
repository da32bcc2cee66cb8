import Tensors

/// An image of a dataset whose `file_name` leads to no file in the dataset's folder.
public enum FileNameError: DiagnosedError, Equatable {
    case missing(imageID: Int)
    /// An absolute path, one with `..`, or one that no file can have.
    case outsideFolder(imageID: Int, fileName: String)

    public var code: String {
        switch self {
        case .missing: "no_file_name"
        case .outsideFolder: "outside_folder"
        }
    }

    public var description: String {
        switch self {
        case .missing(let imageID): "image \(imageID): expected a file_name, found none"
        case .outsideFolder(let imageID, let fileName):
            "\(fileName): expected a file_name inside the folder of images, found another path (image \(imageID))"
        }
    }
}

extension DatasetImage {
    /// The file's path in the dataset's folder of images. The name comes from a file, so it must not lead out of the folder that
    /// the user named; links inside it are the user's own.
    ///
    /// - Throws: ``FileNameError``.
    public func path(in folder: String) throws(FileNameError) -> String {
        guard let fileName, !fileName.isEmpty else { throw .missing(imageID: id) }
        let bytes = Array(fileName.utf8)
        let isInside =
            bytes.first != UInt8(ascii: "/") && !bytes.contains(0)
            && !bytes.split(separator: UInt8(ascii: "/")).contains { $0.elementsEqual("..".utf8) }
        guard isInside else { throw .outsideFolder(imageID: id, fileName: fileName) }
        guard !folder.isEmpty else { return fileName }
        return folder.utf8.last == UInt8(ascii: "/") ? folder + fileName : "\(folder)/\(fileName)"
    }
}
