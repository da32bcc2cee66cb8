/// A box by its centre and size: `cxcywh`, the form the network predicts, usually in 0...1 of the image's width and height.
public struct CenterBox: Sendable, Hashable, Codable {
    public var centerX: Float
    public var centerY: Float
    public var width: Float
    public var height: Float

    public init(centerX: Float, centerY: Float, width: Float, height: Float) {
        self.centerX = centerX
        self.centerY = centerY
        self.width = width
        self.height = height
    }

    public init(_ box: CornerBox) {
        self.init(
            centerX: (box.xMin + box.xMax) / 2, centerY: (box.yMin + box.yMax) / 2, width: box.width,
            height: box.height)
    }
}

/// A box by its corners: `xyxy`, usually in pixels of the upright original image, x to the right and y down.
public struct CornerBox: Sendable, Hashable, Codable {
    public var xMin: Float
    public var yMin: Float
    public var xMax: Float
    public var yMax: Float

    public init(xMin: Float, yMin: Float, xMax: Float, yMax: Float) {
        self.xMin = xMin
        self.yMin = yMin
        self.xMax = xMax
        self.yMax = yMax
    }

    /// The corners of `box`.
    /// - Source: `util/box_ops.py`, `box_cxcywh_to_xyxy`, of fundamentalvision/Deformable-DETR.
    public init(_ box: CenterBox) {
        self.init(
            xMin: box.centerX - 0.5 * box.width, yMin: box.centerY - 0.5 * box.height,
            xMax: box.centerX + 0.5 * box.width, yMax: box.centerY + 0.5 * box.height)
    }

    public var width: Float { xMax - xMin }
    public var height: Float { yMax - yMin }

    /// Width times height; 0 for a box with a negative extent.
    public var area: Float { max(0, width) * max(0, height) }

    /// Every coordinate multiplied by the size of an image: from 0...1 to pixels.
    public func scaled(width: Float, height: Float) -> CornerBox {
        CornerBox(xMin: xMin * width, yMin: yMin * height, xMax: xMax * width, yMax: yMax * height)
    }

    /// The part of the box inside an image of the given size, in the same unit.
    public func clamped(width: Float, height: Float) -> CornerBox {
        CornerBox(
            xMin: min(max(xMin, 0), width), yMin: min(max(yMin, 0), height),
            xMax: min(max(xMax, 0), width), yMax: min(max(yMax, 0), height))
    }
}
