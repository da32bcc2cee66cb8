/// Smooth random values over the plane: random numbers on a grid, interpolated between.
struct NoiseField: Sendable {
    private static let side = 64
    /// `[64, 64]`, repeated over the plane; -1...1.
    private let values: [Float]
    private let frequency: Point
    private let shift: Point

    /// - Parameter wavelength: pixels between grid points, across and down.
    init(wavelength: Point, _ random: inout RandomSource) {
        values = (0..<Self.side * Self.side).map { _ in random.value(in: -1...1) }
        frequency = 1 / pointwiseMax(wavelength, [1e-3, 1e-3])
        shift = [random.value(in: 0...64), random.value(in: 0...64)]
    }

    init(wavelength: Float, _ random: inout RandomSource) {
        self.init(wavelength: [wavelength, wavelength], &random)
    }

    /// -1...1, continuous with continuous slope.
    func callAsFunction(_ point: Point) -> Float {
        let place = point * frequency + shift
        // Towards zero and, below it, one down: cheaper than a call for rounding where there is no instruction for it.
        var (column, row) = (Int(place.x), Int(place.y))
        if Float(column) > place.x { column -= 1 }
        if Float(row) > place.y { row -= 1 }
        let rest = place - Point(Float(column), Float(row))
        let share = rest * rest * (3 - 2 * rest)
        // The masks keep every index inside the grid, negative places too.
        let (left, right) = (column & 63, (column + 1) & 63)
        let (above, below) = ((row & 63) << 6, ((row + 1) & 63) << 6)
        return values.withUnsafeBufferPointer { values in
            let upper = values[above + left] + (values[above + right] - values[above + left]) * share.x
            let lower = values[below + left] + (values[below + right] - values[below + left]) * share.x
            return upper + (lower - upper) * share.y
        }
    }

    /// Adds `weight` times the noise at the centres of a row's pixels, from column 0.
    ///
    /// - Parameter vertical: the row's centre, not below 0.
    func add(weight: Float, at vertical: Float, to sums: inout [Float]) {
        let place = vertical * frequency.y + shift.y
        let row = Int(place)
        let rest = place - Float(row)
        let share = rest * rest * (3 - 2 * rest)
        let (above, below) = ((row & 63) << 6, ((row + 1) & 63) << 6)
        // The grid's line at this height, with its first value again at the end.
        let line = (0...Self.side).map { column in
            let (upper, lower) = (values[above + column & 63], values[below + column & 63])
            return (upper + (lower - upper) * share) * weight
        }
        let (start, step, count) = (0.5 * frequency.x + shift.x, frequency.x, sums.count)
        line.withUnsafeBufferPointer { line in
            sums.withUnsafeMutableBufferPointer { sums in
                // Cell by cell of the grid, so that within each the compiler can take several pixels at once.
                var first = 0
                var cell = Int(start)
                while first < count {
                    let end = min(max(Int(((Float(cell + 1) - start) / step).rounded(.up)), first), count)
                    let (left, rise) = (line[cell & 63], line[cell & 63 + 1] - line[cell & 63])
                    let offset = start - Float(cell)
                    for index in first..<end {
                        let rest = offset + Float(index) * step
                        sums[index] += left + rise * (rest * rest * (3 - 2 * rest))
                    }
                    first = end
                    // Where cells are smaller than pixels, some are passed over.
                    cell = max(cell + 1, Int(start + Float(end) * step))
                }
            }
        }
    }
}

/// Noise of several wavelengths, each half as long and weaker than the one before.
struct FractalNoise: Sendable {
    private let fields: [NoiseField]
    private let weights: [Float]

    /// - Parameter roughness: each octave's strength relative to the one before, 0...1.
    init(wavelength: Point, octaves: Int, roughness: Float = 0.5, _ random: inout RandomSource) {
        var fields: [NoiseField] = []
        var weights: [Float] = []
        for octave in 0..<max(1, octaves) {
            let shrink = Float(1 << octave)
            fields.append(NoiseField(wavelength: wavelength / shrink, &random))
            weights.append(octave == 0 ? 1 : weights[octave - 1] * roughness)
        }
        let total = weights.reduce(0, +)
        self.fields = fields
        self.weights = weights.map { $0 / total }
    }

    /// -1...1.
    func callAsFunction(_ point: Point) -> Float {
        var sum: Float = 0
        for index in fields.indices { sum += fields[index](point) * weights[index] }
        return sum
    }
    /// The noise at the centres of a row's pixels, from column 0.
    func row(at vertical: Float, count: Int) -> [Float] {
        var sums = [Float](repeating: 0, count: count)
        for index in fields.indices { fields[index].add(weight: weights[index], at: vertical, to: &sums) }
        return sums
    }
}
