/// What a surface is made of: its colour and grain.
enum Ground: Sendable, CaseIterable {
    case paper, tinted, kraft, colored, dark, metal, plastic, wood, cloth, concrete, skinLike, night

    /// Strong colours are rarer than weak ones.
    private func muted(_ random: inout RandomSource) -> Float {
        let value = random.unit()
        return value * value * 0.9
    }

    /// A colour of this material.
    func color(_ random: inout RandomSource) -> Tone {
        switch self {
        case .paper: Tone.hue(random.unit(), saturation: random.value(in: 0...0.06), value: random.value(in: 0.78...1))
        case .tinted:
            Tone.hue(random.unit(), saturation: random.value(in: 0.06...0.35), value: random.value(in: 0.7...1))
        case .kraft:
            Tone.hue(
                random.value(in: 0.06...0.12), saturation: random.value(in: 0.25...0.5),
                value: random.value(in: 0.5...0.85))
        case .colored:
            Tone.hue(random.unit(), saturation: random.value(in: 0.4...1), value: random.value(in: 0.35...1))
        case .dark: Tone.hue(random.unit(), saturation: muted(&random), value: random.value(in: 0.03...0.3))
        case .metal:
            Tone.hue(
                random.value(in: 0.05...0.65), saturation: random.value(in: 0...0.15),
                value: random.value(in: 0.25...0.85))
        case .plastic: Tone.hue(random.unit(), saturation: muted(&random), value: random.value(in: 0.15...1))
        case .wood:
            Tone.hue(
                random.value(in: 0.03...0.12), saturation: random.value(in: 0.2...0.75),
                value: random.value(in: 0.25...0.85))
        case .cloth: Tone.hue(random.unit(), saturation: muted(&random), value: random.value(in: 0.1...0.95))
        case .concrete:
            Tone.hue(random.unit(), saturation: random.value(in: 0...0.12), value: random.value(in: 0.3...0.85))
        case .skinLike:
            Tone.hue(
                random.value(in: 0.02...0.09), saturation: random.value(in: 0.2...0.6),
                value: random.value(in: 0.35...0.95))
        case .night: Tone.hue(random.unit(), saturation: muted(&random), value: random.value(in: 0...0.12))
        }
    }
}

extension Raster {
    /// Fills the picture with a material in `color`.
    ///
    /// - Parameter scale: pixels that count as one hundredth of an ordinary object.
    mutating func paintGround(_ ground: Ground, color: Tone, scale: Float, _ random: inout RandomSource) {
        let scale = max(scale, 0.5)
        switch ground {
        case .paper, .tinted, .dark, .skinLike, .night, .colored, .plastic:
            grain(
                color, wavelength: [scale * 60, scale * 60], octaves: 2, strength: random.value(in: 0...0.1), &random)
        case .kraft:
            grain(
                color, wavelength: [scale * 12, scale * 2], octaves: 3, strength: random.value(in: 0.05...0.2), &random)
        case .metal:
            let along: Point = random.chance(0.5) ? [scale * 60, scale * 0.7] : [scale * 5, scale * 5]
            grain(color, wavelength: along, octaves: 3, strength: random.value(in: 0.05...0.4), &random)
        case .wood: paintWood(color, scale: scale, &random)
        case .cloth: paintCloth(color, scale: scale, &random)
        case .concrete:
            let rough = random.logarithmic(in: 2...60)
            grain(
                color, wavelength: [scale * rough, scale * rough], octaves: 4, roughness: random.value(in: 0.4...0.95),
                strength: random.value(in: 0.1...0.7), &random)
        }
    }

    /// Lighter and darker blotches.
    mutating func grain(
        _ color: Tone, wavelength: Point, octaves: Int, roughness: Float = 0.6, strength: Float,
        _ random: inout RandomSource
    ) {
        let noise = FractalNoise(wavelength: wavelength, octaves: octaves, roughness: roughness, &random)
        let other = color.mixed(with: Tone.hue(random.unit(), saturation: 0.4, value: 0.5), share: 0.4)
        fillEvery(with: noise) { value in
            color.mixed(with: other, share: value * strength).scaled(1 + value * strength)
        }
    }

    /// Calls for every pixel's centre; what it returns replaces the pixel.
    @inline(__always)
    mutating func fillEvery(_ tone: (Point) -> Tone) {
        for row in 0..<height {
            for column in 0..<width {
                var color = tone([Float(column) + 0.5, Float(row) + 0.5])
                color.w = 1
                pixels[row * width + column] = color
            }
        }
    }

    /// Calls for every pixel with the noise there; what it returns replaces the pixel.
    @inline(__always)
    mutating func fillEvery(with noise: FractalNoise, _ tone: (Float) -> Tone) {
        let width = width
        for row in 0..<height {
            let values = noise.row(at: Float(row) + 0.5, count: width)
            for column in 0..<width {
                var color = tone(values[column])
                color.w = 1
                pixels[row * width + column] = color
            }
        }
    }

    private mutating func paintWood(_ color: Tone, scale: Float, _ random: inout RandomSource) {
        let warp = FractalNoise(wavelength: [scale * 120, scale * 20], octaves: 2, &random)
        let fiber = NoiseField(wavelength: [scale * 40, scale * 0.8], &random)
        let rings = random.value(in: 2...14)
        let strength = random.value(in: 0.05...0.35)
        let planks = random.chance(0.4) ? scale * random.value(in: 25...80) : Float.infinity
        let isUpright = random.chance(0.5)
        fillEvery { point in
            let place: Point = isUpright ? [point.y, point.x] : point
            let wave = warp(place) * rings
            let ring = wave - wave.rounded(.down)
            let seam = planks.isFinite && place.y.truncatingRemainder(dividingBy: planks) < scale ? Float(0.6) : 1
            return color.scaled((1 - strength * (ring * 0.6 + fiber(place) * 0.5)) * seam)
        }
    }

    private mutating func paintCloth(_ color: Tone, scale: Float, _ random: inout RandomSource) {
        let pitch = max(2, scale * random.logarithmic(in: 1...8))
        let strength = random.value(in: 0.1...0.5)
        let second = Ground.cloth.color(&random)
        let third = Ground.cloth.color(&random)
        let plaid = random.chance(0.4) ? pitch * random.value(in: 6...30) : Float.infinity
        let soft = FractalNoise(wavelength: [scale * 50, scale * 50], octaves: 2, &random)
        fillEvery { point in
            let cell = (point / pitch)
            let across = abs(cell.x - cell.x.rounded()) * 2
            let down = abs(cell.y - cell.y.rounded()) * 2
            let isOver = (Int(cell.x.rounded()) + Int(cell.y.rounded())) & 1 == 0
            var thread = color
            if plaid.isFinite {
                let (column, row) = ((point.x / plaid), (point.y / plaid))
                if column - column.rounded(.down) < 0.3 { thread = thread.mixed(with: second, share: 0.5) }
                if row - row.rounded(.down) < 0.25 { thread = thread.mixed(with: third, share: 0.5) }
            }
            return thread.scaled((1 - strength * (isOver ? across : down)) * (1 + 0.3 * soft(point)))
        }
    }
}
