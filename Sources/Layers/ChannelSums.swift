import Tensors

/// Two sums for each channel over pixels, which the statistics of norms and their gradients come from.
///
/// They are kept in Double, one partial sum for each row of the map, so that they do not depend on the thread count.
struct ChannelSums {
    /// `[C]` each.
    private(set) var first: [Double]
    private(set) var second: [Double]

    /// - Parameter addRow: adds the sums over the pixels of one row to `first` and `second`, `[C]` each.
    init(
        rows: Int, channels: Int,
        addRow: (_ row: Int, _ first: UnsafeMutablePointer<Double>, _ second: UnsafeMutablePointer<Double>) -> Void
    ) {
        var rowSums = [Double](repeating: 0, count: rows * 2 * channels)
        rowSums.withUnsafeMutableBufferPointer { sums in
            guard let sums = sums.baseAddress else { return }
            Parallel.forRanges(rows) { range in
                for row in range {
                    let start = sums + row * 2 * channels
                    addRow(row, start, start + channels)
                }
            }
        }
        first = [Double](repeating: 0, count: channels)
        second = first
        for row in 0..<rows {
            for channel in 0..<channels {
                first[channel] += rowSums[row * 2 * channels + channel]
                second[channel] += rowSums[(row * 2 + 1) * channels + channel]
            }
        }
    }
}

extension Tensor {
    /// A vector of what was computed in Double.
    init(rounding values: [Double]) {
        self.init([values.count], values.map(Float.init))
    }
}
