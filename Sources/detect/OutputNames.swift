// Where results go: names that mirror the input tree inside the output folder, one for each input and never the same for two.

import DeformDETR
import Tensors

/// Names every file that a run can write, before anything is written.
///
/// Names are relative to the deepest folder that holds all inputs the user named: `photos/` becomes `detections/x.jpg`,
/// `a/` and `b/` become `detections/a/x.jpg` and `detections/b/x.jpg`. So no name can lead out of the output folder.
struct OutputNames: Sendable {
    /// The files of one input, relative to the output folder.
    struct Names: Sendable {
        /// The annotated copy.
        let image: String
        /// Its YOLO labels.
        let yolo: String
        /// Its VOC annotation.
        let voc: String
        /// What the names of its detections' pictures begin with inside their folder; no other input's do.
        let pictureStem: String
        let kind: ImageFormat

        /// The crop of one detection.
        /// - Parameter number: the detection's place in the image, from 1.
        func crop(label: String, number: Int) -> String {
            // A class called "../x" must not lead anywhere else.
            let kept = String(label.printable.map { $0 == "/" || $0 == "\\" ? "_" : $0 }.prefix(60))
            let folder = kept.isEmpty || kept.allSatisfy({ $0 == "." }) ? "_" : kept
            return "crops/\(folder)/\(picture(number))"
        }

        /// The picture of where the network looked for one detection.
        /// - Parameter number: the detection's place in the image, from 1.
        func attention(number: Int) -> String { "attention/\(picture(number))" }

        private func picture(_ number: Int) -> String { "\(pictureStem)-\(number).\(kind.rawValue)" }
    }

    private let names: [Names]

    /// - Parameter roots: the folders that the user named, and those of the files that the user named.
    init(inputs: [Input], roots: [FilePath], workingFolder: FilePath) {
        let base = Self.commonFolder(of: roots.map { $0.absoluteComponents(in: workingFolder) })
        var taken: Set<FilePath> = []
        // The same file twice in a list has one result.
        var images: [FilePath: (name: String, kind: ImageFormat)] = [:]
        let paths = inputs.map { input in
            let components = input.path.absoluteComponents(in: workingFolder).dropFirst(base)
            let path = FilePath(bytes: Array(components.joined(separator: [UInt8(ascii: "/")])))
            guard images[path] == nil else { return path }
            let kind = input.kind ?? (path.fileExtension == "png" ? .png : .jpeg)
            let image = kind.matches(fileExtension: path.fileExtension) ? path : path.adding(".\(kind.rawValue)")
            images[path] = (Self.unused([image.text], &taken), kind)
            return path
        }
        var takenStems = Set(images.values.compactMap { Self.pictureStem(in: $0.name) })
        var known: [FilePath: Names] = [:]
        for path in paths where known[path] == nil {
            guard let image = images[path] else { continue }
            let stems = [path.withoutExtension.text, path.text]
            known[path] = Names(
                image: image.name, yolo: Self.unused(stems.map { "labels/\($0).txt" }, &taken),
                voc: Self.unused(stems.map { "annotations/\($0).xml" }, &taken),
                pictureStem: Self.unused(stems, &takenStems), kind: image.kind)
        }
        names = paths.compactMap { known[$0] }
    }

    /// The names for the input of that place.
    subscript(index: Int) -> Names { names[index] }

    /// The stem that a detection's picture would have whose name is that of an annotated copy, `crops/CLASS/STEM-NUMBER.jpg` or
    /// `attention/STEM-NUMBER.jpg`; nil when no such picture can have that name.
    private static func pictureStem(in image: String) -> FilePath? {
        let components = FilePath(image).withoutExtension.components
        let folders = [Array("crops".utf8): 2, Array("attention".utf8): 1]
        guard let first = components.first, let depth = folders[first], components.count > depth else { return nil }
        let name = components[depth...].joined(separator: [UInt8(ascii: "/")])
        let digits = name.reversed().prefix { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
        let stem = name.dropLast(digits.count)
        guard !digits.isEmpty, stem.last == UInt8(ascii: "-") else { return nil }
        return FilePath(bytes: Array(stem.dropLast()))
    }

    /// How many leading components all paths share.
    private static func commonFolder(of folders: [[[UInt8]]]) -> Int {
        guard let first = folders.first else { return 0 }
        return folders.dropFirst().reduce(first.count) { count, folder in
            zip(first, folder).prefix(count).prefix { $0 == $1 }.count
        }
    }

    /// The first of `candidates` that no other input has, or the last with a number.
    private static func unused(_ candidates: [String], _ taken: inout Set<FilePath>) -> String {
        for candidate in candidates where taken.insert(FilePath(candidate)).inserted { return candidate }
        let last = FilePath(candidates.last ?? "")
        let suffix = last.fileExtension.isEmpty ? "" : String(last.text.suffix(last.fileExtension.count + 1))
        var number = 2
        while true {
            let name = "\(last.withoutExtension.text)_\(number)\(suffix)"
            if taken.insert(FilePath(name)).inserted { return name }
            number += 1
        }
    }
}
