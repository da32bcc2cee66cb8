/// Regular patterns that are no codes, though some come close.
enum Pattern: CaseIterable, Sendable {
    case checkers, zebra, unevenStripes, dotGrid, halftone, hatching, crossword, graphPaper, keyboard, bricks, plaid
    case ruler, nestedSquares, nestedCircles, piano, waves, mosaic, louvers, mesh, piechart
    case tiles, pixelArt, ledPanel, fingerprint, hexagonDots, radiator, characterGrid
}

extension Raster {
    /// Fills `area` with a pattern that no detector should take for a code.
    mutating func paint(
        _ pattern: Pattern, in area: Area, fonts: FontCase, _ random: inout RandomSource
    ) {
        let dark = random.chance(0.6) ? Tone.gray(random.value(in: 0...0.25)) : Ground.colored.color(&random)
        let light = random.chance(0.6) ? Tone.gray(random.value(in: 0.75...1)) : Ground.tinted.color(&random)
        let side = min(area.width, area.height)
        let cell = max(2, side / random.logarithmic(in: 3...24))
        let origin = Point(area.left, area.top)
        let turned = random.chance(0.5)
        func place(_ point: Point) -> Point { turned ? Point(point.y - origin.y, point.x - origin.x) : point - origin }
        /// Antialiased membership in the part of each period below `share`.
        func stripe(_ position: Float, period: Float, share: Float) -> Float {
            let phase = position / period - (position / period).rounded(.down)
            let edge = min(phase, 1 - phase)
            let width = min(abs(phase - share), edge) * period
            return phase < share ? min(0.5 + width, 1) : max(0.5 - width, 0)
        }
        switch pattern {
        case .checkers:
            paint(in: area) { point in
                let spot = (place(point) / cell).rounded(.down)
                return ((Int(spot.x) + Int(spot.y)) & 1 == 0 ? dark : light, 1)
            }
        case .zebra, .louvers:
            let share = random.value(in: 0.25...0.75)
            let slope = pattern == .zebra && random.chance(0.4) ? random.value(in: -1...1) : 0
            paint(in: area) { point in
                let spot = place(point)
                let amount = stripe(spot.x + spot.y * slope, period: cell, share: share)
                return (light.mixed(with: dark, share: amount), 1)
            }
        case .unevenStripes:
            // Wide bands of many colours, unlike a code's two.
            let colors = (0..<random.whole(in: 3...8)).map { _ in random.pick(Ground.allCases) }
                .map { $0.color(&random) }
            let noise = NoiseField(wavelength: cell * 2, &random)
            paint(in: area) { point in
                let value = (noise([place(point).x, 0]) + 1) * 0.499
                return (colors[Int(value * Float(colors.count))], 1)
            }
        case .dotGrid, .halftone:
            let noise = NoiseField(wavelength: side / 2, &random)
            let size = random.value(in: 0.2...0.48)
            paint(in: area) { point in
                let spot = place(point) / cell
                let offset = spot - spot.rounded(.toNearestOrEven)
                let radius = pattern == .halftone ? 0.35 + 0.3 * noise(point) : size
                let distance = ((offset * offset).sum().squareRoot() - radius) * cell
                return (light.mixed(with: dark, share: min(max(0.5 - distance, 0), 1)), 1)
            }
        case .hatching, .mesh:
            let share = random.value(in: 0.08...0.3)
            paint(in: area) { point in
                let spot = place(point)
                let rising = stripe(spot.x + spot.y, period: cell * 1.4, share: share)
                let falling = stripe(spot.x - spot.y, period: cell * 1.4, share: share)
                return (light.mixed(with: dark, share: max(rising, falling)), 1)
            }
        case .crossword: paintCrossword(in: area, cell: max(cell, 4), dark: dark, light: light, fonts: fonts, &random)
        case .graphPaper:
            let width = max(0.06, 1 / cell)
            paint(in: area) { point in
                let spot = place(point)
                let amount = max(stripe(spot.x, period: cell, share: width), stripe(spot.y, period: cell, share: width))
                return (light.mixed(with: dark, share: amount * 0.7), 1)
            }
        case .keyboard: paintKeyboard(in: area, key: max(cell, 6), fonts: fonts, &random)
        case .bricks:
            let joint = random.value(in: 0.05...0.14)
            let tint = NoiseField(wavelength: cell * 0.9, &random)
            paint(in: area) { point in
                let row = ((point.y - origin.y) / cell).rounded(.down)
                let across = (point.x - origin.x) / cell / 2 + row * 0.5
                let isJoint =
                    across - across.rounded(.down) < joint / 2 || (point.y - origin.y) / cell - row < joint
                return (isJoint ? light.scaled(0.8) : dark.scaled(1 + 0.2 * tint(point)), 1)
            }
        case .plaid:
            let other = Ground.cloth.color(&random)
            paint(in: area) { point in
                let spot = place(point)
                let across = stripe(spot.x, period: cell * 2, share: 0.4)
                let down = stripe(spot.y, period: cell * 2, share: 0.3)
                return (light.mixed(with: dark, share: across * 0.5).mixed(with: other, share: down * 0.5), 1)
            }
        case .ruler:
            fill(area, color: light)
            let spacing = max(3, cell / 3)
            for mark in 0..<Int(area.width / spacing) {
                let length = area.height * (mark % 10 == 0 ? 0.6 : mark % 5 == 0 ? 0.45 : 0.3)
                let x = area.left + Float(mark) * spacing
                fill(Area(left: x, top: area.top, width: max(0.8, spacing / 5), height: length), color: dark)
                if mark % 10 == 0, spacing * 10 > 12 {
                    text(
                        "\(mark / 10)", typeface: fonts[area.height * 0.3],
                        origin: [x + 2, area.bottom - area.height * 0.08], style: TextStyle(color: dark))
                }
            }
        case .nestedSquares, .nestedCircles:
            let center = area.center
            paint(in: area) { point in
                let offset = point - center
                let distance =
                    pattern == .nestedSquares
                    ? max(abs(offset.x), abs(offset.y)) : (offset * offset).sum().squareRoot()
                return (light.mixed(with: dark, share: stripe(distance, period: cell, share: 0.5)), 1)
            }
        case .piano:
            fill(area, color: light)
            for key in 0..<Int(area.width / cell) {
                let x = area.left + Float(key) * cell
                fill(Area(left: x, top: area.top, width: max(0.8, cell / 20), height: area.height), color: dark)
                if ![2, 6].contains(key % 7) {
                    fill(
                        Area(left: x + cell * 0.7, top: area.top, width: cell * 0.6, height: area.height * 0.62),
                        color: dark)
                }
            }
        case .waves:
            let noise = NoiseField(wavelength: cell * 3, &random)
            paint(in: area) { point in
                let spot = place(point)
                return (
                    light.mixed(with: dark, share: stripe(spot.y + noise(spot) * cell, period: cell, share: 0.4)), 1
                )
            }
        case .mosaic:
            let colors = (0..<6).map { _ in Ground.colored.color(&random) }
            let noise = NoiseField(wavelength: 0.9, &random)
            paint(in: area) { point in
                let value = (noise((place(point) / cell).rounded(.down)) + 1) * 0.499
                return (colors[Int(value * 6)], 1)
            }
        case .tiles, .pixelArt, .ledPanel, .fingerprint, .hexagonDots, .radiator, .characterGrid:
            paintNearCode(pattern, in: area, cell: cell, dark: dark, light: light, fonts: fonts, &random)
        case .piechart:
            fillEllipse(area, color: dark)
            var (start, center) = (Float(0), area.center)
            center += [random.normal(), random.normal()]
            while start < 6.2 {
                let end = start + random.value(in: 0.3...1.2)
                let corners =
                    [center]
                    + (0...6).map { step in
                        center + direction(start + (end - start) * Float(step) / 6) * side / 2.2
                    }
                let color = Ground.colored.color(&random)
                fillConvex(corners, color: { _ in color })
                start = end
            }
        }
    }

    private mutating func paintCrossword(
        in area: Area, cell: Float, dark: Tone, light: Tone, fonts: FontCase, _ random: inout RandomSource
    ) {
        fill(area, color: dark)
        let filled = random.value(in: 0.1...0.4)
        let hasLetters = random.chance(0.5)
        for row in 0..<Int(area.height / cell) {
            for column in 0..<Int(area.width / cell) where !random.chance(filled) {
                let square = Area(
                    left: area.left + Float(column) * cell, top: area.top + Float(row) * cell, width: cell, height: cell
                )
                fill(square.expanded(by: -max(0.5, cell * 0.04)), color: light)
                if hasLetters, random.chance(0.6), cell > 8 {
                    text(
                        SymbolContent.capitals(1, &random), typeface: fonts[cell * 0.7],
                        origin: [square.left + cell * 0.25, square.bottom - cell * 0.2], style: TextStyle(color: dark))
                }
            }
        }
    }

    private mutating func paintKeyboard(in area: Area, key: Float, fonts: FontCase, _ random: inout RandomSource) {
        let isDark = random.chance(0.7)
        let cap = Tone.gray(isDark ? random.value(in: 0.05...0.25) : random.value(in: 0.75...1))
        fill(area, color: Tone.gray(isDark ? random.value(in: 0.1...0.8) : 0.55))
        for row in 0..<Int(area.height / key) {
            let shift = key * Float(row % 3) * 0.25
            for column in 0..<Int((area.width - shift) / key) {
                let square = Area(
                    left: area.left + shift + Float(column) * key, top: area.top + Float(row) * key, width: key,
                    height: key)
                fillRounded(square.expanded(by: -key * 0.07), radius: key * 0.15, color: cap)
                guard key > 8 else { continue }
                text(
                    SymbolContent.serial(1, &random), typeface: fonts[key * 0.4],
                    origin: [square.left + key * 0.2, square.top + key * 0.5],
                    style: TextStyle(color: .gray(isDark ? 0.95 : 0.1)))
            }
        }
    }
}
