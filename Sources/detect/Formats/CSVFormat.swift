// A table with a header and a row a detection, quoted as RFC 4180 says; lines end in "\n", as other Unix tools expect.

import DeformDETR

/// A row a detection.
struct CSVFormat: RecordFormat {
    var beginning: String { "path,width,height,class_id,label,score,x_min,y_min,x_max,y_max\n" }

    mutating func text(for record: ImageRecord) -> String {
        guard case .success(let content) = record.result else { return "" }
        let path = Self.field(record.input.path.text)
        return content.detections.map { detection in
            let box = detection.box
            let fields: [String] = [
                path, "\(content.width)", "\(content.height)", "\(detection.classID)", Self.field(detection.label),
                "\(detection.score)", "\(box.xMin)", "\(box.yMin)", "\(box.xMax)", "\(box.yMax)",
            ]
            return fields.joined(separator: ",") + "\n"
        }.joined()
    }

    /// Quoted where a reader would otherwise see more than one field.
    private static func field(_ text: String) -> String {
        let special: Set<Unicode.Scalar> = [",", "\"", "\n", "\r"]
        guard text.unicodeScalars.contains(where: special.contains) else { return text }
        return "\"" + text.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
    }
}
