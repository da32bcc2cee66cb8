// Patterns with the grids, rings and bars of codes, but no code's.

extension Raster {
    mutating func paintNearCode(
        _ pattern: Pattern, in area: Area, cell: Float, dark: Tone, light: Tone, fonts: FontCase,
        _ random: inout RandomSource
    ) {
        switch pattern {
        case .tiles:
            fill(area, color: dark.mixed(with: light, share: random.value(in: 0.2...0.8)))
            let joint = cell * random.value(in: 0.02...0.1)
            let (base, variance) = (random.pick(Ground.allCases).color(&random), random.value(in: 0...0.3))
            forEachCell(of: cell, in: area) { raster, square, _, _ in
                let color = base.scaled(1 + variance * random.normal())
                raster.fill(square.expanded(by: -joint), color: color)
            }
        case .pixelArt: paintSprites(in: area, cell: max(cell, 12), light: light, &random)
        case .ledPanel:
            fill(area, color: .gray(random.value(in: 0...0.1)))
            let glow = Tone.hue(random.pick([0, 0.08, 0.33, 0.6]), saturation: random.value(in: 0.3...1), value: 1)
            let step = max(cell * 0.3, 3)
            forEachCell(of: step, in: area) { raster, square, column, row in
                // Letters of five by seven lamps with a lamp between.
                let isLit = column % 6 < 5 && row % 9 < 7 && random.chance(0.45)
                raster.fillEllipse(square.expanded(by: -step * 0.12), color: isLit ? glow : glow.scaled(0.12))
            }
        case .fingerprint:
            let center = area.center + Point(random.normal(), random.normal()) * cell
            let noise = FractalNoise(wavelength: [cell * 4, cell * 4], octaves: 2, &random)
            let period = max(cell * random.value(in: 0.2...0.6), 2.5)
            let strength = random.value(in: 0.5...2.5) * cell
            paint(in: area) { point in
                let offset = point - center
                let distance = (offset * offset * Point(1, 0.5)).sum().squareRoot() + noise(point) * strength
                let phase = distance / period - (distance / period).rounded(.down)
                return (light.mixed(with: dark, share: min(max((abs(phase - 0.5) - 0.25) * period + 0.5, 0), 1)), 1)
            }
        case .hexagonDots:
            // As in MaxiCode: offset rows around rings.
            fill(area, color: light)
            let step = max(min(area.width, area.height) / 32, 2)
            let center = area.center
            forEachCell(of: step, in: area) { raster, square, _, row in
                var spot = square
                if row % 2 == 1 { spot.left += step / 2 }
                let offset = spot.center - center
                guard (offset * offset).sum() > step * step * 36, random.chance(0.5) else { return }
                raster.fillEllipse(spot.expanded(by: -step * 0.05), color: dark)
            }
            for ring in 0..<3 {
                strokeCircle(center: center, radius: step * (1 + 1.7 * Float(ring)), lineWidth: step * 0.8, color: dark)
            }
        case .radiator:
            // Ribs that light falls on from one side.
            let rib = max(cell, 4)
            let gap = random.value(in: 0.05...0.4)
            paint(in: area) { point in
                let phase = point.x / rib - (point.x / rib).rounded(.down)
                let round = 1 - phase / (1 - gap)
                return (phase > 1 - gap ? dark.scaled(0.5) : light.scaled(0.5 + 0.6 * round), 1)
            }
        default:
            // Letters or digits in a square grid: puzzles, tables of numbers.
            fill(area, color: light)
            let isDigits = random.chance(0.5)
            let style = TextStyle(color: dark, &random)
            forEachCell(of: max(cell * 0.6, 7), in: area) { raster, square, _, _ in
                let text = isDigits ? SymbolContent.digits(1, &random) : SymbolContent.capitals(1, &random)
                raster.text(
                    text, typeface: fonts[square.height * 0.8],
                    origin: [square.left + square.width * 0.2, square.bottom - square.height * 0.15], style: style)
            }
        }
    }

    /// Symmetrical figures of coloured squares.
    private mutating func paintSprites(in area: Area, cell: Float, light: Tone, _ random: inout RandomSource) {
        fill(area, color: random.chance(0.5) ? light : .gray(random.value(in: 0...0.2)))
        forEachCell(of: cell * 2, in: area) { raster, square, _, _ in
            let colors = (0..<2).map { _ in Ground.colored.color(&random) }
            let pixel = square.width / 10
            for row in 0..<8 {
                for column in 0..<4 where random.chance(0.55) {
                    let color = random.pick(colors)
                    for mirrored in [column, 7 - column] {
                        let place = Area(
                            left: square.left + Float(mirrored + 1) * pixel, top: square.top + Float(row + 1) * pixel,
                            width: pixel, height: pixel)
                        raster.fill(place, color: color)
                    }
                }
            }
        }
    }

    private mutating func forEachCell(
        of side: Float, in area: Area, _ body: (inout Raster, Area, _ column: Int, _ row: Int) -> Void
    ) {
        for row in 0..<Int(area.height / side) {
            for column in 0..<Int(area.width / side) {
                let square = Area(
                    left: area.left + Float(column) * side, top: area.top + Float(row) * side, width: side, height: side
                )
                body(&self, square, column, row)
            }
        }
    }
}
