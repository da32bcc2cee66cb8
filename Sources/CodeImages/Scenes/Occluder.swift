/// Things that come between the camera and a code.
enum Occluder: CaseIterable, Sendable {
    case finger, sticker, stick, tear
    /// A pen's strokes, too thin to hide anything.
    case scribble

    static func random(_ random: inout RandomSource) -> Occluder {
        let shares: [(Occluder, Float)] = [(.finger, 5), (.sticker, 2), (.stick, 3), (.tear, 1), (.scribble, 3)]
        return random.pick(weighted: shares)
    }
}

extension Scene {
    /// Hides part of what lies around `target`.
    mutating func add(_ occluder: Occluder, near target: Area, _ random: inout RandomSource) {
        let size = max(8, min(target.width, target.height))
        let angle = random.value(in: 0...6.3)
        let outward = direction(angle)
        // Where the ray from the target's middle leaves it.
        let reach = min(
            target.width / 2 / max(abs(outward.x), 0.05), target.height / 2 / max(abs(outward.y), 0.05))
        switch occluder {
        case .finger:
            let thickness = size * random.logarithmic(in: 0.3...1.1)
            let tip = target.center + outward * (reach * random.value(in: 0.75...1.3) + thickness * 0.5)
            let bend = direction(angle + random.value(in: -0.7...0.7))
            let skin = Ground.skinLike.color(&random)
            let end = tip + bend * thickness * 6
            repaint { raster in
                raster.line(
                    from: tip + thickness * 0.1, to: end + thickness * 0.1, width: thickness * 1.05, color: .gray(0),
                    opacity: 0.25)
                // Lighter towards the middle, as round things are.
                for layer in 0..<5 {
                    let share = Float(layer) / 4
                    raster.line(
                        from: tip, to: end, width: thickness * (1 - 0.7 * share), color: skin.scaled(0.72 + 0.3 * share)
                    )
                }
                if random.chance(0.5) {
                    let nail = tip - bend * thickness * 0.12
                    raster.line(
                        from: nail, to: nail + bend * thickness * 0.25, width: thickness * 0.45,
                        color: skin.mixed(with: Tone(1, 0.85, 0.82, 1), share: 0.4))
                }
            }
            coverLine(from: tip, to: end, width: thickness)
        case .scribble:
            let color = random.pick([Ground.dark, .night, .colored]).color(&random)
            let width = max(1, size * random.logarithmic(in: 0.008...0.04))
            var pen = target.center + outward * reach * random.value(in: 0...1)
            for _ in 0..<random.whole(in: 1...9) {
                let next = pen + direction(random.value(in: 0...6.3)) * size * random.value(in: 0.1...0.8)
                repaint { $0.line(from: pen, to: next, width: width, color: color) }
                pen = next
            }
        case .stick:
            let width = size * random.logarithmic(in: 0.03...0.15)
            let middle = target.center + outward * reach * random.value(in: 0...0.9)
            let along = direction(random.value(in: 0...6.3)) * (reach + size) * random.value(in: 1...2)
            let color = random.pick([Ground.dark, .night, .colored, .metal]).color(&random)
            repaint { $0.line(from: middle - along, to: middle + along, width: width, color: color) }
            coverLine(from: middle - along, to: middle + along, width: width)
        case .sticker, .tear:
            let length = size * random.logarithmic(in: 0.25...0.8)
            let middle = target.center + outward * reach * random.value(in: 0.6...1.1)
            let turn = random.value(in: 0...6.3)
            let count = occluder == .tear ? 7 : 4
            let corners = (0..<count).map { corner in
                let wobble: Float = occluder == .tear ? random.value(in: 0.8...1.1) : 1
                return middle + direction(turn + 6.283 * Float(corner) / Float(count)) * length * wobble * 0.7
            }
            let color = random.pick([Ground.paper, .colored, .kraft, .wood]).color(&random)
            repaint { $0.fillConvex(corners, color: { _ in color }) }
            cover(corners)
        }
    }

    private mutating func coverLine(from start: Point, to end: Point, width: Float) {
        let along = end - start
        let length = max((along * along).sum().squareRoot(), 1e-3)
        let unit = along / length
        let across = Point(-unit.y, unit.x) * width / 2
        let cap = unit * width / 2
        cover([
            start + across, start - cap * 0.7 + across * 0.7, start - cap, start - cap * 0.7 - across * 0.7,
            start - across, end - across, end + across,
        ])
    }
}
