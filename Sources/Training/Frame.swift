// Where the pixels of an augmented image come from: one cut, one resize, one turn, whatever was drawn.

import Boxes
import Images

extension PixelRectangle {
    /// Sides below 2^24, as images have, are exact.
    var box: CornerBox {
        CornerBox(xMin: Float(left), yMin: Float(top), xMax: Float(right), yMax: Float(bottom))
    }
}

/// Part of an image, resized to fill part of a result.
struct Frame: Hashable {
    /// The part that is seen, in pixels of the image.
    var source: PixelRectangle
    /// What it fills of the result; around it is padding.
    var target: PixelRectangle
    /// The result's size.
    var width: Int
    var height: Int

    /// The mean of ImageNet's colours, which the network sees as about 0, as it does a batch's padding.
    static let padding: [UInt8] = zip(Image.imageNetMean, repeatElement(Float(255), count: 3)).map {
        UInt8(($0 * $1).rounded())
    }

    /// What the frame shows of an image.
    ///
    /// - Precondition: `source` lies inside the image.
    func callAsFunction(_ image: Image) -> Image {
        let whole = PixelRectangle(width: image.width, height: image.height)
        precondition(
            source.left >= 0 && source.top >= 0 && source.right <= image.width && source.bottom <= image.height,
            "\(source) of \(whole)")
        guard let part = source == whole ? image : image.cropped(to: source.box) else {
            preconditionFailure("\(source) of \(whole) is empty")
        }
        let resized = part.resized(width: target.width, height: target.height)
        return target == PixelRectangle(width: width, height: height) ? resized : padded(resized)
    }

    private func padded(_ image: Image) -> Image {
        let emptyRow = repeatElement(Self.padding, count: width).flatMap { $0 }
        var pixels: [UInt8] = []
        pixels.reserveCapacity(width * height * 3)
        for row in 0..<height {
            let line = row - target.top
            guard (0..<target.height).contains(line) else {
                pixels += emptyRow
                continue
            }
            pixels += emptyRow[..<(target.left * 3)]
            pixels += image.pixels[(line * target.width * 3)..<((line + 1) * target.width * 3)]
            pixels += emptyRow[(target.right * 3)...]
        }
        return Image(width: width, height: height, pixels: pixels)
    }

    /// Where a box of the image lies in the result, with what the frame cuts off.
    func position(of box: CornerBox) -> CornerBox {
        let (scaleX, scaleY) = (
            Double(target.width) / Double(source.width), Double(target.height) / Double(source.height)
        )
        func x(_ x: Float) -> Float { Float(Double(target.left) + (Double(x) - Double(source.left)) * scaleX) }
        func y(_ y: Float) -> Float { Float(Double(target.top) + (Double(y) - Double(source.top)) * scaleY) }
        return CornerBox(xMin: x(box.xMin), yMin: y(box.yMin), xMax: x(box.xMax), yMax: y(box.yMax))
    }
}

/// A turn by quarters, a mirroring, or both.
struct Turn: Hashable {
    /// Rows become columns, before anything is mirrored.
    var swapsSides = false
    /// Right becomes left.
    var mirrorsColumns = false
    /// The top becomes the bottom.
    var mirrorsRows = false

    func callAsFunction(_ image: Image) -> Image {
        image.turned(
            Orientation(swapsSides: swapsSides, mirrorsColumns: mirrorsColumns, mirrorsRows: mirrorsRows))
    }

    /// Where a box lies after the turn.
    ///
    /// - Parameters:
    ///   - width: of the image before the turn.
    ///   - height: of the image before the turn.
    func position(of box: CornerBox, width: Int, height: Int) -> CornerBox {
        var turned =
            swapsSides ? CornerBox(xMin: box.yMin, yMin: box.xMin, xMax: box.yMax, yMax: box.xMax) : box
        let (newWidth, newHeight) = swapsSides ? (Float(height), Float(width)) : (Float(width), Float(height))
        if mirrorsColumns { (turned.xMin, turned.xMax) = (newWidth - turned.xMax, newWidth - turned.xMin) }
        if mirrorsRows { (turned.yMin, turned.yMax) = (newHeight - turned.yMax, newHeight - turned.yMin) }
        return turned
    }
}
