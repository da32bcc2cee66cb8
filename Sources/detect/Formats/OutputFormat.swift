// The forms in which results are written. Each form is one type that turns records into text.

/// A value of `--format`.
enum OutputFormat: String, CaseIterable, Sendable {
    case text, json, jsonl, coco, csv, yolo, voc

    /// What goes to standard output.
    var records: any RecordFormat {
        switch self {
        case .text, .yolo, .voc: TextFormat()
        case .json: JSONFormat()
        case .jsonl: JSONLinesFormat()
        case .coco: COCOFormat()
        case .csv: CSVFormat()
        }
    }

    /// The form of the file that is written for each image, if there is one.
    var file: (any ImageFileFormat)? {
        switch self {
        case .yolo: YOLOFormat()
        case .voc: VOCFormat()
        case .text, .json, .jsonl, .coco, .csv: nil
        }
    }
}

/// Records as text, one after the other; what the calls return, joined, is the whole document.
protocol RecordFormat {
    /// Before the first record.
    var beginning: String { get }
    /// One input's part.
    mutating func text(for record: ImageRecord) -> String
    /// After the last record.
    var ending: String { get }
}

extension RecordFormat {
    var beginning: String { "" }
    var ending: String { "" }
}

/// One file for each image.
protocol ImageFileFormat: Sendable {
    /// The file's name among those planned for the image.
    func name(_ names: OutputNames.Names) -> String
    /// The file's content.
    /// - Parameter imageName: the image's name as the annotation should give it.
    func text(for content: ImageRecord.Content, imageName: String) -> String
}
