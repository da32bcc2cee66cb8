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
        let floor = place.rounded(.down)
        let rest = place - floor
        let share = rest * rest * (3 - 2 * rest)
        // The masks keep every index inside the grid, negative places too.
        let (column, row) = (Int(floor.x) & 63, Int(floor.y) & 63)
        let (nextColumn, nextRow) = ((column + 1) & 63, (row + 1) & 63)
        let upper = values[row << 6 + column] + (values[row << 6 + nextColumn] - values[row << 6 + column]) * share.x
        let lower =
            values[nextRow << 6 + column]
            + (values[nextRow << 6 + nextColumn] - values[nextRow << 6 + column]) * share.x
        return upper + (lower - upper) * share.y
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
}
