// Backdrops that look like places: what photographs show around what they are about.

extension Raster {
    /// Rows of windows.
    mutating func paintFacade(in area: Area, _ random: inout RandomSource) {
        let wall = random.pick([Ground.concrete, .tinted, .night, .kraft, .wood]).color(&random)
        fill(area, color: wall)
        let (columns, rows) = (random.whole(in: 3...16), random.whole(in: 3...14))
        let cell = Point(area.width / Float(columns), area.height / Float(rows))
        let share = Point(random.value(in: 0.3...0.85), random.value(in: 0.3...0.85))
        let pane = random.pick(Ground.allCases).color(&random)
        for row in 0..<rows {
            for column in 0..<columns {
                let window = Area(
                    left: area.left + (Float(column) + 0.5 - share.x / 2) * cell.x,
                    top: area.top + (Float(row) + 0.5 - share.y / 2) * cell.y, width: cell.x * share.x,
                    height: cell.y * share.y)
                fill(window, color: pane.scaled(random.value(in: 0.3...1.4)))
            }
        }
    }

    /// Shapes upon shapes, few large and many small ones, in the colours of one place: their edges and areas are spread
    /// like those of photographs.
    ///
    /// - Source: Lee, Mumford, Huang, Occlusion models for natural images (2001).
    mutating func paintJumble(_ random: inout RandomSource) {
        let size = Float(max(width, height))
        let palette = (0..<random.whole(in: 3...7)).map { _ in random.pick(Ground.allCases).color(&random) }
        grain(
            random.pick(palette), wavelength: [size / 3, size / 3], octaves: 3, strength: random.value(in: 0.1...0.4),
            &random)
        let smallest = random.logarithmic(in: 0.012...0.05)
        let roundness = random.unit()
        for _ in 0..<random.whole(in: 40...220) {
            // Sizes whose number falls with the third power.
            let radius = min(size * smallest / max(1 - random.unit(), 1e-3).squareRoot(), size * 0.4)
            let place = randomPlace(&random)
            let base = random.pick(palette).scaled(random.value(in: 0.6...1.4))
            let slope = direction(random.value(in: 0...6.3)) * random.value(in: 0...0.5) / radius
            func color(_ point: Point) -> Tone { base.scaled(1 + ((point - place) * slope).sum()) }
            let corners = random.chance(roundness) ? 12 : random.whole(in: 3...5)
            let (turn, aspect) = (random.value(in: 0...6.3), random.logarithmic(in: 0.25...1))
            let (along, across) = (direction(turn) * radius, direction(turn + 1.571) * radius * aspect)
            let outline = (0..<corners).map { corner in
                let spoke = direction(6.283 * Float(corner) / Float(corners))
                return place + along * spoke.x + across * spoke.y
            }
            fillConvex(outline, color: color, softness: random.chance(0.3) ? radius * random.value(in: 0...0.5) : 1)
        }
    }

    /// Clouds of a few colours with clear or soft borders: stone, carpets, food, fur, far landscapes.
    mutating func paintBlots(_ random: inout RandomSource) {
        let size = Float(max(width, height))
        let colors = (0..<3).map { _ in random.pick(Ground.allCases).color(&random) }
        let aspect = random.logarithmic(in: 0.3...3)
        let wavelength = size * random.logarithmic(in: 0.03...0.5)
        let roughness = random.value(in: 0.4...0.9)
        let first = FractalNoise(
            wavelength: [wavelength * aspect, wavelength], octaves: 4, roughness: roughness, &random)
        let second = FractalNoise(wavelength: [wavelength, wavelength], octaves: 3, roughness: roughness, &random)
        let (sharpness, other) = (random.logarithmic(in: 1.5...20), random.logarithmic(in: 1.5...10))
        for row in 0..<height {
            let shares = first.row(at: Float(row) + 0.5, count: width)
            let others = second.row(at: Float(row) + 0.5, count: width)
            for column in 0..<width {
                let share = min(max(0.5 + shares[column] * sharpness, 0), 1)
                let both = colors[0].mixed(with: colors[1], share: share)
                let last = min(max(0.3 + others[column] * other, 0), 1)
                pixels[row * width + column] = both.mixed(with: colors[2], share: last).scaled(1 + 0.3 * shares[column])
                pixels[row * width + column].w = 1
            }
        }
    }

    /// Books, boxes, bottles or folders in rows on boards.
    mutating func paintShelf(fonts: FontCase, _ random: inout RandomSource) {
        let board = random.pick([Ground.wood, .metal, .paper, .dark]).color(&random)
        fill(area, color: board.scaled(0.3))
        let rows = random.whole(in: 1...5)
        let rowHeight = area.height / Float(rows)
        let boardHeight = rowHeight * random.value(in: 0.02...0.12)
        let proportion = random.logarithmic(in: 0.12...0.9)
        let isRound = random.chance(0.3)
        for row in 0..<rows {
            let bottom = Float(row + 1) * rowHeight - boardHeight
            fill(Area(left: 0, top: bottom, width: area.width, height: boardHeight), color: board)
            var left = -rowHeight * 0.1
            while left < area.width {
                // Several of one kind side by side.
                let thing = Point(
                    rowHeight * proportion * random.logarithmic(in: 0.6...1.5), rowHeight * random.value(in: 0.6...0.93)
                )
                let color = random.pick([Ground.colored, .tinted, .paper, .dark, .plastic]).color(&random)
                let label = Ground.paper.color(&random)
                let text = SymbolContent.words(3, &random)
                for _ in 0..<random.whole(in: 1...4) where left < area.width {
                    let body = Area(left: left, top: bottom - thing.y, width: thing.x, height: thing.y)
                    paintShelfThing(
                        body, color: color, label: label, text: text, isRound: isRound, fonts: fonts, &random)
                    left += thing.x + random.value(in: 0...0.05) * rowHeight
                }
                if random.chance(0.1) { left += rowHeight * random.value(in: 0.1...0.6) }
            }
        }
    }

    private mutating func paintShelfThing(
        _ body: Area, color: Tone, label: Tone, text: String, isRound: Bool, fonts: FontCase,
        _ random: inout RandomSource
    ) {
        let middle = body.center.x
        paint(in: body) { point in
            // Round things darken towards their sides, flat ones at their edges.
            let offset = (point.x - middle) / (body.width / 2)
            let shade = isRound ? 1.1 - 0.6 * offset * offset : abs(offset) > 0.93 ? Float(0.6) : 1
            return (color.scaled(shade), 1)
        }
        let ink = color.luminance > 0.5 ? Tone.gray(0.1) : Tone.gray(0.95)
        if body.width > body.height * 0.35 {
            let patch = Area(
                left: body.left + body.width * 0.12, top: body.top + body.height * 0.3, width: body.width * 0.76,
                height: body.height * 0.4)
            if random.chance(0.6) { fill(patch, color: label) }
            decorate(random.pick([.textBlock, .headline, .logo]), in: patch, ink: ink, fonts: fonts, &random)
        } else if body.width > 7 {
            // A spine's title runs along it.
            self.text(
                String(text.prefix(Int(body.height / body.width / 0.45))), typeface: fonts[body.width * 0.6],
                origin: [body.left + body.width * 0.3, body.top + body.height * 0.08],
                style: TextStyle(color: ink, &random),
                quarterTurns: 1)
        }
    }

    /// Sky, houses or trees, and what the camera stands on.
    mutating func paintOutdoors(_ random: inout RandomSource) {
        let size = Float(max(width, height))
        let ground = random.pick([Ground.concrete, .kraft, .cloth, .concrete])
        paintGround(
            ground,
            color: random.chance(0.4)
                ? Tone.hue(random.value(in: 0.2...0.35), saturation: 0.5, value: 0.4) : ground.color(&random),
            scale: size / 100, &random)
        let horizon = area.height * random.value(in: 0.35...0.8)
        let (zenith, haze) = (
            Tone.hue(
                random.value(in: 0.52...0.64), saturation: random.value(in: 0...0.7), value: random.value(in: 0.4...1)),
            Tone.gray(random.value(in: 0.6...1))
        )
        paint(in: Area(left: 0, top: 0, width: area.width, height: horizon)) { point in
            (zenith.mixed(with: haze, share: point.y / horizon), 1)
        }
        var left: Float = -size * 0.1
        while left < area.width {
            let house = Point(size * random.value(in: 0.1...0.6), horizon * random.value(in: 0.3...1.1))
            let body = Area(left: left, top: horizon - house.y, width: house.x, height: house.y)
            if random.chance(0.6) {
                paintFacade(in: body, &random)
            } else {
                let leaves = Tone.hue(
                    random.value(in: 0.15...0.4), saturation: 0.5, value: random.value(in: 0.15...0.6))
                for _ in 0..<14 {
                    let radius = house.x * random.value(in: 0.1...0.35)
                    let place = Point(left + house.x * random.unit(), horizon - house.y * random.unit())
                    fillEllipse(
                        Area(left: place.x - radius, top: place.y - radius, width: 2 * radius, height: 2 * radius),
                        color: leaves.scaled(random.value(in: 0.5...1.4)))
                }
            }
            left += house.x * random.value(in: 0.7...1.5)
        }
    }

    /// A table with a keyboard, sheets, pens, coins, cables.
    mutating func paintDesk(fonts: FontCase, _ random: inout RandomSource) {
        let size = Float(max(width, height))
        let top = random.pick([Ground.wood, .wood, .wood, .plastic, .paper, .cloth, .dark])
        paintGround(top, color: top.color(&random), scale: size / 100 * random.logarithmic(in: 0.5...2), &random)
        for _ in 0..<random.whole(in: 2...9) {
            let length = size * random.logarithmic(in: 0.05...0.7)
            let place = randomPlace(&random)
            let turn = direction(random.value(in: 0...6.3))
            let body = Area(left: place.x - length / 2, top: place.y - length / 3, width: length, height: length * 0.66)
            switch random.whole(in: 0...6) {
            case 0: paint(.keyboard, in: body, fonts: fonts, &random)
            case 1:
                // A coin or a button.
                let coin = Area(left: place.x, top: place.y, width: length * 0.25, height: length * 0.25)
                let metal = random.pick([Ground.metal, .kraft, .plastic]).color(&random)
                fillEllipse(coin.expanded(by: length * 0.01), color: .gray(0), opacity: 0.4)
                fillEllipse(coin, color: metal)
                fillEllipse(coin.expanded(by: -length * 0.02), color: metal.scaled(1.2))
                fillEllipse(coin.expanded(by: -length * 0.06), color: metal.scaled(0.85))
            case 2:
                // A pen.
                let color = random.pick([Ground.colored, .dark, .wood]).color(&random)
                let end = place + turn * length
                line(from: place + 3, to: end + 3, width: length * 0.05, color: .gray(0), opacity: 0.3)
                line(from: place, to: end, width: length * 0.05, color: color)
                line(from: place, to: end, width: length * 0.015, color: color.scaled(1.4))
                line(from: end, to: end + turn * length * 0.08, width: length * 0.02, color: .gray(0.1))
            case 3:
                // A cable.
                let color = random.pick([Ground.dark, .paper, .dark]).color(&random)
                var (pen, heading) = (place, random.value(in: 0...6.3))
                for _ in 0..<24 {
                    heading += random.normal() * 0.25
                    let next = pen + direction(heading) * length * 0.08
                    line(from: pen, to: next, width: max(1.5, size * 0.008), color: color)
                    pen = next
                }
            case 4:
                fill(body.expanded(by: 2), color: .gray(0), opacity: 0.25)
                fill(body, color: random.pick([Ground.paper, .tinted]).color(&random))
                let margin = body.expanded(by: -length * 0.06)
                decorate(
                    random.pick([.textBlock, .form, .handwriting]), in: margin, ink: .gray(0.15), fonts: fonts, &random)
            case 5: paintThing(length, &random)
            default: paintThing(length * 0.4, &random)
            }
        }
    }
}
