extension Image {
    /// The image turned upright from how it is stored.
    ///
    /// Pixels are copied in square tiles, so that rows and columns both stay in the cache.
    package func turned(_ orientation: Orientation) -> Image {
        guard orientation != .upright else { return self }
        let (newWidth, newHeight) = orientation.swapsSides ? (height, width) : (width, height)
        // The stored pixel at (column, row) lands at origin + column * columnStep + row * rowStep, in pixels.
        let right = newWidth - 1
        let bottom = (newHeight - 1) * newWidth
        let (origin, columnStep, rowStep) =
            switch orientation {
            case .upright: (0, 1, newWidth)
            case .mirroredHorizontally: (right, -1, newWidth)
            case .rotatedHalf: (right + bottom, -1, -newWidth)
            case .mirroredVertically: (bottom, 1, -newWidth)
            case .transposed: (0, newWidth, 1)
            case .rotatedClockwise: (right, newWidth, -1)
            case .transversed: (right + bottom, -newWidth, -1)
            case .rotatedCounterclockwise: (bottom, -newWidth, 1)
            }
        let tile = 64
        let turned = [UInt8](unsafeUninitializedCapacity: pixels.count) { target, count in
            pixels.withUnsafeBufferPointer { source in
                for top in stride(from: 0, to: height, by: tile) {
                    for left in stride(from: 0, to: width, by: tile) {
                        for row in top..<min(top + tile, height) {
                            for column in left..<min(left + tile, width) {
                                let from = (row * width + column) * 3
                                let to = (origin + column * columnStep + row * rowStep) * 3
                                target[to] = source[from]
                                target[to + 1] = source[from + 1]
                                target[to + 2] = source[from + 2]
                            }
                        }
                    }
                }
            }
            count = pixels.count
        }
        return Image(width: newWidth, height: newHeight, pixels: turned)
    }
}
