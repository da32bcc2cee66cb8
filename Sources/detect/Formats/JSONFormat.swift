// The `json` and `jsonl` forms: `{"path", "status", "width", "height", "detections", "ms"}`, and for a failed image
// `{"path", "status", "error"}`.

import Checkpoint
import DeformDETR

/// JSON values as text.
enum JSONText {
    /// The shortest text that reads back as the same float.
    ///
    /// - Precondition: finite; JSON has no other numbers.
    static func number(_ value: Float) -> String {
        precondition(value.isFinite, "\(value) in JSON")
        return "\(value)"
    }

    static func object(_ members: [(String, String)]) -> String {
        "{" + members.map { "\(JSONValue.quoted($0)):\($1)" }.joined(separator: ",") + "}"
    }

    static func array(_ elements: some Sequence<String>) -> String { "[" + elements.joined(separator: ",") + "]" }
}

/// One array of records.
struct JSONFormat: RecordFormat {
    private var isFirst = true

    var beginning: String { "[" }
    var ending: String { isFirst ? "]\n" : "\n]\n" }

    mutating func text(for record: ImageRecord) -> String {
        defer { isFirst = false }
        return (isFirst ? "\n" : ",\n") + JSONLinesFormat.object(record)
    }
}

/// A record a line.
struct JSONLinesFormat: RecordFormat {
    mutating func text(for record: ImageRecord) -> String { Self.object(record) + "\n" }

    static func object(_ record: ImageRecord) -> String {
        let path = ("path", JSONValue.quoted(record.input.path.text))
        switch record.result {
        case .success(let content):
            let times = content.times
            let milliseconds = [
                ("decode", times.decode), ("preprocess", times.preprocess), ("network", times.network),
                ("total", times.total),
            ]
            return JSONText.object([
                path, ("status", "\"ok\""), ("width", "\(content.width)"), ("height", "\(content.height)"),
                ("detections", JSONText.array(content.detections.map(object))),
                ("ms", JSONText.object(milliseconds.map { ($0, decimal($1, 3)) })),
            ])
        case .failure(let failure):
            let error = [
                ("code", JSONValue.quoted(failure.code)),
                ("message", JSONValue.quoted(failure.message(about: record.input.path.text))),
            ]
            return JSONText.object([path, ("status", "\"error\""), ("error", JSONText.object(error))])
        }
    }

    private static func object(_ detection: Detection) -> String {
        let box = detection.box
        return JSONText.object([
            ("class_id", "\(detection.classID)"), ("label", JSONValue.quoted(detection.label)),
            ("score", JSONText.number(detection.score)),
            ("box", JSONText.array([box.xMin, box.yMin, box.xMax, box.yMax].map(JSONText.number))),
        ])
    }
}
