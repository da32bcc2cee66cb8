extension Tensor {
    /// Multiplies each slice along the first axis by its factor, in Double.
    package mutating func scaleRows(by factors: [Double]) {
        precondition(shape.rank > 0 && shape[0] == factors.count, "\(factors.count) factors for \(shape)")
        let width = count / max(1, shape[0])
        withMutableElements { elements in
            guard let start = elements.baseAddress else { return }
            Parallel.forRanges(factors.count, minimumPerThread: max(1, (1 << 16) / max(1, width))) { rows in
                for row in rows {
                    for index in row * width..<(row + 1) * width {
                        start[index] = Float(Double(start[index]) * factors[row])
                    }
                }
            }
        }
    }
}
