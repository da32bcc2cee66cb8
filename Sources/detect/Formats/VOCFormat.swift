// PASCAL VOC's annotations: http://host.robots.ox.ac.uk/pascal/VOC. Coordinates are whole pixels counted from 1, both ends
// inside the box, so boxes are rounded and clamped to the image. The score is an addition, as other detectors write it.

import DeformDETR

/// An XML document an image.
struct VOCFormat: ImageFileFormat {
    func name(_ names: OutputNames.Names) -> String { names.voc }

    func text(for content: ImageRecord.Content, imageName: String) -> String {
        var lines = [
            "<annotation>",
            "  <filename>\(Self.escaped(imageName))</filename>",
            "  <size><width>\(content.width)</width><height>\(content.height)</height><depth>3</depth></size>",
            "  <segmented>0</segmented>",
        ]
        for detection in content.detections {
            let horizontal = Self.pixels(detection.box.xMin, detection.box.xMax, size: content.width)
            let vertical = Self.pixels(detection.box.yMin, detection.box.yMax, size: content.height)
            lines += [
                "  <object>",
                "    <name>\(Self.escaped(detection.label))</name>",
                "    <pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult>",
                "    <confidence>\(detection.score)</confidence>",
                "    <bndbox><xmin>\(horizontal.lowerBound)</xmin><ymin>\(vertical.lowerBound)</ymin>"
                    + "<xmax>\(horizontal.upperBound)</xmax><ymax>\(vertical.upperBound)</ymax></bndbox>",
                "  </object>",
            ]
        }
        return lines.joined(separator: "\n") + "\n</annotation>\n"
    }

    /// The pixels between two edges, counted from 1; at least one.
    private static func pixels(_ start: Float, _ end: Float, size: Int) -> ClosedRange<Int> {
        let limit = Float(size)
        let first = min(Int(min(max(start, 0), limit).rounded()) + 1, size)
        return first...max(first, Int(min(max(end, 0), limit).rounded()))
    }

    /// XML has no way to write most control characters: they become U+FFFD.
    private static func escaped(_ text: String) -> String {
        text.unicodeScalars.reduce(into: "") { result, scalar in
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\t", "\n", "\r": result += "&#\(scalar.value);"
            case _ where scalar.value < 0x20 || scalar.value == 0xFFFE || scalar.value == 0xFFFF: result += "\u{FFFD}"
            default: result.unicodeScalars.append(scalar)
            }
        }
    }
}
