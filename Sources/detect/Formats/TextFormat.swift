// `images/a.jpg: 640x480, 3 person, 1 dog (612 ms)`: a line an image, for people. Failures go to standard error alone.

/// A line an image.
struct TextFormat: RecordFormat {
    mutating func text(for record: ImageRecord) -> String {
        guard case .success(let content) = record.result else { return "" }
        return "\(record.input.path.text.printable): \(content.width)x\(content.height), \(Self.counts(content))"
            + " (\(decimal(content.times.total, 0)) ms)\n"
    }

    /// `3 person, 1 dog`, in the order of the class ids.
    private static func counts(_ content: ImageRecord.Content) -> String {
        let classes = Dictionary(grouping: content.detections, by: \.classID).sorted { $0.key < $1.key }
        guard !classes.isEmpty else { return "no detections" }
        return classes.map { "\($0.value.count) \(($0.value.first?.label ?? "").printable)" }.joined(separator: ", ")
    }
}
