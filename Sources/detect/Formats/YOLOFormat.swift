// YOLO's labels with confidences, as `yolo predict save_txt save_conf` writes them: https://docs.ultralytics.com. Readers of
// this form refuse coordinates outside 0...1, so boxes are clamped to the image.

import DeformDETR

/// `class cx cy w h confidence`, normalised by the image's size; a line a detection.
struct YOLOFormat: ImageFileFormat {
    func name(_ names: OutputNames.Names) -> String { names.yolo }

    func text(for content: ImageRecord.Content, imageName: String) -> String {
        let (width, height) = (Float(content.width), Float(content.height))
        return content.detections.map { detection in
            let box = detection.box.clamped(width: width, height: height)
            let fields = [
                (box.xMin + box.xMax) / 2 / width, (box.yMin + box.yMax) / 2 / height, box.width / width,
                box.height / height, detection.score,
            ]
            return "\(detection.classID) " + fields.map { "\($0)" }.joined(separator: " ") + "\n"
        }.joined()
    }
}
