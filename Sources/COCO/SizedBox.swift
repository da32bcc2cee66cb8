import Boxes

/// A box by its upper left corner and size: COCO's `xywh`, in pixels, x to the right and y down. Double, as evaluation compares
/// overlaps exactly.
public struct SizedBox: Sendable, Hashable {
    public var x: Double
    public var y: Double
    public var width: Double
    public var height: Double

    public init(x: Double, y: Double, width: Double, height: Double) {
        self.x = x
        self.y = y
        self.width = width
        self.height = height
    }

    /// The same box in `xywh`.
    ///
    /// The sizes are subtracted in Float, so that they are those that the `coco` output of the command has.
    public init(_ box: CornerBox) {
        self.init(x: Double(box.xMin), y: Double(box.yMin), width: Double(box.width), height: Double(box.height))
    }

    public var area: Double { width * height }

    /// The overlap by which detections are judged: the common area over the area of the union or, for a crowd, over that of the
    /// detection alone. 0 for boxes without common area.
    ///
    /// - Source: `bbIou` in `common/maskApi.c` of cocodataset/cocoapi.
    func overlap(_ truth: SizedBox, isCrowd: Bool) -> Double {
        let commonWidth = min(x + width, truth.x + truth.width) - max(x, truth.x)
        guard commonWidth > 0 else { return 0 }
        let commonHeight = min(y + height, truth.y + truth.height) - max(y, truth.y)
        guard commonHeight > 0 else { return 0 }
        let common = commonWidth * commonHeight
        let union = isCrowd ? area : area + truth.area - common
        // Sides so small that their product is 0.
        return union > 0 ? common / union : 0
    }
}

extension CornerBox {
    /// The same box in `xyxy`, rounded to Float.
    public init(_ box: SizedBox) {
        self.init(
            xMin: Float(box.x), yMin: Float(box.y), xMax: Float(box.x + box.width), yMax: Float(box.y + box.height))
    }
}
