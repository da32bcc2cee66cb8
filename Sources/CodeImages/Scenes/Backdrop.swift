/// What lies behind everything.
enum Backdrop: CaseIterable, Sendable {
    case material, gradient, foliage, clutter, bokeh, facade, jumble, blots, shelf, outdoors, desk

    static func random(_ random: inout RandomSource) -> Backdrop {
        let shares: [(Backdrop, Float)] = [
            (.material, 8), (.gradient, 3), (.foliage, 1.5), (.clutter, 4), (.bokeh, 1.5), (.facade, 1), (.jumble, 6),
            (.blots, 2), (.shelf, 2.5), (.outdoors, 2), (.desk, 3),
        ]
        return random.pick(weighted: shares)
    }
}

extension Raster {
    mutating func paint(_ backdrop: Backdrop, fonts: FontCase, _ random: inout RandomSource) {
        let size = Float(max(width, height))
        switch backdrop {
        case .material:
            let ground = random.pick(Ground.allCases)
            let scale = size / 100 * random.logarithmic(in: 0.4...3)
            paintGround(ground, color: ground.color(&random), scale: scale, &random)
        case .gradient:
            let (first, second) = (
                random.pick(Ground.allCases).color(&random), random.pick(Ground.allCases).color(&random)
            )
            let near = random.chance(0.6) ? first.scaled(random.value(in: 0.6...1.2)) : second
            let along = direction(random.value(in: 0...6.3)) / size
            let noise = NoiseField(wavelength: size * 0.4, &random)
            let middle = area.center
            fillEvery { point in
                let share = 0.5 + ((point - middle) * along).sum() + 0.1 * noise(point)
                return first.mixed(with: near, share: min(max(share, 0), 1))
            }
        case .foliage:
            paintGround(.concrete, color: Tone.hue(0.3, saturation: 0.5, value: 0.15), scale: size / 100, &random)
            let leaf = size * random.value(in: 0.01...0.06)
            for _ in 0..<min(900, Int(2.2 * area.width * area.height / (leaf * leaf))) {
                let color = Tone.hue(
                    random.value(in: 0.18...0.42), saturation: random.value(in: 0.3...0.9),
                    value: random.logarithmic(in: 0.1...0.9))
                paintLeaf(at: randomPlace(&random), length: leaf * random.value(in: 0.6...1.8), color: color, &random)
            }
        case .clutter:
            paint(.material, fonts: fonts, &random)
            for _ in 0..<random.whole(in: 4...28) { paintThing(size * random.logarithmic(in: 0.04...0.6), &random) }
        case .bokeh:
            paintGround(
                .night, color: random.pick([Ground.night, .dark, .colored]).color(&random), scale: size / 100, &random)
            for _ in 0..<random.whole(in: 5...60) {
                let radius = size * random.logarithmic(in: 0.01...0.12)
                let place = randomPlace(&random)
                let disc = Area(left: place.x - radius, top: place.y - radius, width: 2 * radius, height: 2 * radius)
                let color = Tone.hue(random.unit(), saturation: random.value(in: 0...0.8), value: 1)
                fillEllipse(disc, color: color, opacity: random.value(in: 0.1...0.8))
            }
        case .facade: paintFacade(in: area, &random)
        case .jumble: paintJumble(&random)
        case .blots: paintBlots(&random)
        case .shelf: paintShelf(fonts: fonts, &random)
        case .outdoors: paintOutdoors(&random)
        case .desk: paintDesk(fonts: fonts, &random)
        }
    }

    func randomPlace(_ random: inout RandomSource) -> Point {
        [random.unit() * area.width, random.unit() * area.height]
    }

    private mutating func paintLeaf(at place: Point, length: Float, color: Tone, _ random: inout RandomSource) {
        let along = direction(random.value(in: 0...6.3)) * length
        let across = Point(-along.y, along.x) * random.value(in: 0.2...0.5)
        let (near, far, half) = (place + along * 0.3, place + along * 0.7, across * 0.5)
        let corners: [Point] = [place, near + half, far + half, place + along, far - half, near - half]
        fillConvex(corners, color: { _ in color })
    }

    /// A box, ball, stick or rag with a soft shadow, of no kind in particular.
    mutating func paintThing(_ size: Float, _ random: inout RandomSource) {
        let color = random.pick(Ground.allCases).color(&random)
        let place = randomPlace(&random)
        let turn = direction(random.value(in: 0...6.3))
        let aspect = random.logarithmic(in: 0.15...1)
        let light = direction(random.value(in: 0...6.3)) / max(size, 1)
        func shaded(_ point: Point) -> Tone { color.scaled(1 + 0.5 * ((point - place) * light).sum()) }
        let across = Point(-turn.y, turn.x) * aspect
        switch random.whole(in: 0...3) {
        case 0:
            let body = Area(
                left: place.x - size / 2, top: place.y - size * aspect / 2, width: size, height: size * aspect)
            var shadow = body
            shadow.left += size * 0.05
            shadow.top += size * 0.06
            fillEllipse(shadow, color: .gray(0), opacity: 0.3)
            fillEllipse(body, color: color)
            fillEllipse(body.expanded(by: -size * aspect * 0.3), color: color.scaled(1.3), opacity: 0.5)
        case 1:
            line(
                from: place - turn * size, to: place + turn * size, width: max(1, size * random.value(in: 0.02...0.12)),
                color: color)
        default:
            let (along, aside) = (turn * (size / 2), across * (size / 2))
            let corners = [place - along - aside, place + along - aside, place + along + aside, place - along + aside]
            fillConvex(corners.map { $0 + size * 0.05 }, color: { _ in .gray(0) }, opacity: 0.3)
            fillConvex(corners, color: shaded)
        }
    }
}
