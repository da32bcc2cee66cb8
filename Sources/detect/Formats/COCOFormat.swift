// COCO's results form (https://cocodataset.org/#format-results), which `pycocotools.COCO.loadRes` reads. A class's id is
// taken as the category's; a failed image has no detections.

import DeformDETR

/// `[{"image_id", "category_id", "bbox": [x, y, width, height], "score"}]`.
struct COCOFormat: RecordFormat {
    private var isFirst = true

    var beginning: String { "[" }
    var ending: String { isFirst ? "]\n" : "\n]\n" }

    mutating func text(for record: ImageRecord) -> String {
        guard case .success(let content) = record.result else { return "" }
        return content.detections.map { detection in
            defer { isFirst = false }
            let box = detection.box
            let members = [
                ("image_id", "\(record.imageID)"), ("category_id", "\(detection.classID)"),
                ("bbox", JSONText.array([box.xMin, box.yMin, box.width, box.height].map(JSONText.number))),
                ("score", JSONText.number(detection.score)),
            ]
            return (isFirst ? "\n" : ",\n") + JSONText.object(members)
        }.joined()
    }
}
