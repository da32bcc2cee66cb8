import CZint

/// Paints a surface: its ground, its codes, and what stands around them.
struct SurfacePainter {
    private let design: SurfaceDesign
    private let fonts: FontCase
    private var raster: Raster
    private var ground: Tone
    private var occupied: [Area] = []
    private var symbols: [PlacedSymbol] = []

    /// - Parameters:
    ///   - codes: the first is `codeLength` pixels long; the others about as large in modules or in pixels. May be empty.
    ///   - longestSide: neither side of the surface gets more pixels.
    ///   - frame: what the surface has to fill, exactly where `isExact`; nil leaves its size to the design.
    static func paint(
        _ design: SurfaceDesign, codes: [CodeSymbol], codeLength: Float, longestSide: Float,
        frame: (size: Point, isExact: Bool)? = nil, fonts: FontCase, _ random: inout RandomSource
    ) -> Surface {
        var painter = SurfacePainter(design, codes.first, codeLength, longestSide, frame, fonts, &random)
        for (index, code) in codes.enumerated() { painter.place(code, isFirst: index == 0, codeLength, &random) }
        painter.decorate(&random)
        painter.age(&random)
        let gloss = random.value(in: design.gloss)
        let isScreen = random.chance(design.screenChance)
        if isScreen { painter.paintScreen(&random) }
        painter.roundCorners(&random)
        return Surface(
            raster: painter.raster, symbols: painter.symbols, ground: painter.ground, gloss: gloss,
            glow: isScreen ? random.value(in: 0.2...0.9) : 0)
    }

    private init(
        _ design: SurfaceDesign, _ code: CodeSymbol?, _ codeLength: Float, _ longestSide: Float,
        _ frame: (size: Point, isExact: Bool)?, _ fonts: FontCase, _ random: inout RandomSource
    ) {
        self.design = design
        self.fonts = fonts
        let side = min(codeLength * random.logarithmic(in: design.ratio), longestSide)
        let aspect = random.logarithmic(in: design.aspect)
        var (width, height) = aspect < 1 ? (side, side * aspect) : (side / aspect, side)
        if let code {
            // Large enough for its code with a little room.
            let scale = codeLength / max(code.size.x, code.size.y)
            width = min(max(width, code.size.x * scale * 1.08 + 2), longestSide)
            height = min(max(height, code.size.y * scale * 1.08 + 2), longestSide)
        }
        if let frame {
            (width, height) =
                frame.isExact ? (frame.size.x, frame.size.y) : (max(width, frame.size.x), max(height, frame.size.y))
        }
        let material = random.pick(design.grounds)
        ground = material.color(&random)
        raster = Raster(width: max(8, Int(width)), height: max(8, Int(height)), color: ground)
        raster.paintGround(material, color: ground, scale: max(width, height) / 100, &random)
        if random.chance(0.12), design.decorationCount.upperBound > 2 {
            // Halves of different colours.
            let share = random.value(in: 0.2...0.8)
            let color = random.pick(design.grounds).color(&random)
            let isTop = random.chance(0.5)
            raster.fill(
                Area(left: 0, top: isTop ? 0 : height * share, width: width, height: height * (isTop ? share : 1)),
                color: color)
        }
    }

    private mutating func place(
        _ symbol: CodeSymbol, isFirst: Bool, _ codeLength: Float, _ random: inout RandomSource
    ) {
        var length = codeLength * (isFirst ? 1 : random.logarithmic(in: 0.5...1.3))
        let longest = max(symbol.size.x, symbol.size.y)
        for attempt in 0..<12 {
            let module = length / longest
            let isTurned = random.chance(design.turnChance)
            let turns = isTurned ? random.whole(in: 1...3) : 0
            let size = turns.isMultiple(of: 2) ? symbol.size * module : Point(symbol.size.y, symbol.size.x) * module
            let room = raster.area.expanded(by: -min(1, size.x * 0.02))
            guard size.x <= room.width, size.y <= room.height else {
                // The first must find room as it is, unturned.
                if !isFirst || attempt > 6 { length *= 0.85 }
                continue
            }
            let area = Area(
                left: room.left + (room.width - size.x) * random.unit(),
                top: room.top + (room.height - size.y) * random.unit(), width: size.x, height: size.y)
            var style = SymbolStyle.random(symbol, &random)
            let claim = area.expanded(by: style.quietZone * module)
            if !isFirst, occupied.contains(where: { $0.overlaps(claim) }) { continue }
            if isFirst, attempt < 6, !raster.area.contains([claim.left, claim.top]) { continue }
            chooseInk(&style, in: area, symbolIsTwoDimensional: symbol.kind != .linear, &random)
            if let patch = style.patch {
                let radius = random.chance(0.2) ? module * style.quietZone : 0
                raster.fillRounded(
                    patchArea(claim, symbol, module, turns), radius: radius, color: patch,
                    opacity: 1)
            }
            raster.print(symbol, style: style, in: area, quarterTurns: turns, &random)
            occupied.append(claim)
            if random.chance(symbol.symbology == CZINT_ITF14 ? 0.5 : 0.08) {
                // A line around the quiet zone: bearer bars, or just for the looks.
                let lineWidth = module * random.value(in: 0.5...4)
                raster.stroke(claim.expanded(by: lineWidth), lineWidth: lineWidth, color: style.ink)
            }
            if symbol.kind == .linear { write(symbol, style: style, beside: area, module: module, turns, &random) }
            symbols.append(PlacedSymbol(symbol: symbol, area: area))
            return
        }
    }

    /// Linear codes' patches reach below their digits.
    private func patchArea(_ claim: Area, _ symbol: CodeSymbol, _ module: Float, _ turns: Int) -> Area {
        guard symbol.kind == .linear else { return claim }
        let extra = symbol.size.x * module * 0.09
        return claim.expanded(by: turns.isMultiple(of: 2) ? extra * 0.5 : extra * 0.4)
    }

    /// Dark on light, light on dark, coloured, on a patch or on the ground, always with some contrast.
    private func chooseInk(
        _ style: inout SymbolStyle, in area: Area, symbolIsTwoDimensional: Bool, _ random: inout RandomSource
    ) {
        let below = raster.sample(area.center)
        var paper = below
        let isLight = below.luminance > 0.62
        if random.chance(isLight ? design.patchChance * 0.3 : design.patchChance) {
            let patch = random.chance(0.8) ? Ground.paper.color(&random) : Ground.tinted.color(&random)
            style.patch = patch
            paper = patch
        }
        var isInverted = random.chance(design.inversionChance)
        if paper.luminance < 0.35 { isInverted = true }
        if isInverted, paper.luminance > 0.5 {
            let patch = Ground.dark.color(&random)
            style.patch = patch
            paper = patch
        }
        let isColored = random.chance(design.colorChance)
        if isInverted {
            style.ink = isColored ? Ground.tinted.color(&random) : .gray(random.value(in: 0.75...1))
        } else {
            style.ink =
                isColored
                ? Tone.hue(random.unit(), saturation: random.value(in: 0.3...1), value: random.value(in: 0.1...0.55))
                : .gray(random.value(in: 0...0.16))
        }
        if style.finderInk != nil, isInverted { style.finderInk = nil }
        if random.chance(symbolIsTwoDimensional ? 0.06 : 0.02) {
            let far =
                isInverted
                ? Ground.tinted.color(&random)
                : Tone.hue(random.unit(), saturation: random.value(in: 0.3...1), value: random.value(in: 0.1...0.6))
            style.farInk = (far, random.chance(0.4), random.value(in: 0...6.3))
        }
        // Pale prints and engravings keep a fifth of the contrast at least.
        if random.chance(0.18) { style.opacity = random.value(in: 0.35...0.9) }
        if abs(style.ink.luminance - paper.luminance) * style.opacity < 0.2 {
            style.ink = .gray(paper.luminance > 0.45 ? 0 : 1)
            style.opacity = max(style.opacity, 0.6)
        }
    }

    /// Human-readable text near a linear code, never part of its box.
    private mutating func write(
        _ symbol: CodeSymbol, style: SymbolStyle, beside area: Area, module: Float, _ turns: Int,
        _ random: inout RandomSource
    ) {
        guard !symbol.text.isEmpty, symbol.hasGuards || random.chance(0.75) else { return }
        // Width along the bars' row, whichever way it runs.
        let width = turns.isMultiple(of: 2) ? area.width : area.height
        let height = turns.isMultiple(of: 2) ? area.height : area.width
        let guardHeight = symbol.hasGuards ? (symbol.matrix.rowHeights.last ?? 0) * module : 0
        let size =
            symbol.hasGuards
            ? module * random.value(in: 9...11.5) : min(width / Float(symbol.text.count) * 1.5, width * 0.12)
        guard size >= 4 else { return }
        var textStyle = TextStyle(color: style.ink, &random)
        textStyle.opacity = style.opacity
        let typeface = fonts[size * (symbol.hasGuards ? 1 : random.value(in: 0.75...1))]
        let isAbove = !symbol.hasGuards && random.chance(0.12)
        let gap = size * random.value(in: 0.05...0.35)
        let across = isAbove ? -gap : height - guardHeight + Float(typeface.capitalHeight) + max(gap * 0.5, 1)
        /// `along` and `across` are counted from the code's upper left corner, along and across its row.
        func origin(_ along: Float) -> Point {
            switch turns & 3 {
            case 0: [area.left + along, area.top + across]
            case 1: [area.right - across, area.top + along]
            case 2: [area.right - along, area.bottom - across]
            default: [area.left + across, area.bottom - along]
            }
        }
        if symbol.hasGuards {
            for group in symbol.digitGroups {
                // A digit is 0.64 ems wide, its cell as wide as the digit's bars.
                let cell = Float(group.modules.count) * module / Float(group.digits.count)
                textStyle.stretch = min(textStyle.stretch, 1)
                textStyle.pitch = cell / Float(typeface.pixelSize)
                let start = Float(group.modules.lowerBound) * module + cell * 0.5 - 0.32 * size * textStyle.stretch
                raster.text(
                    group.digits, typeface: typeface, origin: origin(start), style: textStyle, quarterTurns: turns)
            }
        } else {
            let natural = textStyle.pens(typeface.layout(symbol.text), pixelSize: typeface.pixelSize).last ?? 0
            let spread = width * random.value(in: 0.7...1)
            let isSpread = random.chance(0.4) || natural > width
            textStyle.pitch = isSpread ? spread / Float(symbol.text.count) / Float(typeface.pixelSize) : nil
            let length = isSpread ? spread : natural
            raster.text(
                symbol.text, typeface: typeface, origin: origin((width - length) * random.pick([0, 0.5, 0.5, 0.5])),
                style: textStyle, quarterTurns: turns)
        }
        occupied.append(area.expanded(by: size * 1.4))
    }

    private mutating func decorate(_ random: inout RandomSource) {
        let (width, height) = (raster.area.width, raster.area.height)
        let ink: Tone =
            ground.luminance > 0.45
            ? .gray(random.value(in: 0...0.3)) : .gray(random.value(in: 0.7...1))
        // Small things have no room for much.
        let count = Float(random.whole(in: design.decorationCount)) * min(1.6, max(width, height) / 160)
        for _ in 0..<Int(count) {
            let decoration = random.pick(design.decorations)
            for attempt in 0..<8 {
                let shrink = 1 - 0.08 * Float(attempt)
                let size = Point(
                    width * random.value(in: 0.15...0.9) * shrink,
                    height * random.value(in: 0.06...0.5) * shrink)
                let area = Area(
                    left: (width - size.x) * random.unit(), top: (height - size.y) * random.unit(), width: size.x,
                    height: size.y)
                guard size.x > 6, size.y > 4, !occupied.contains(where: { $0.overlaps(area) }) else { continue }
                raster.decorate(decoration, in: area, ink: ink, fonts: fonts, &random)
                occupied.append(area)
                break
            }
        }
    }

    /// Scratches, dust, clear film with its folds: what lies on print and code alike.
    private mutating func age(_ random: inout RandomSource) {
        let size = max(raster.area.width, raster.area.height)
        func place(_ random: inout RandomSource) -> Point {
            [random.unit() * raster.area.width, random.unit() * raster.area.height]
        }
        if random.chance(0.08) {
            let color = random.chance(0.7) ? Tone.gray(random.value(in: 0.7...1)) : .gray(random.value(in: 0...0.3))
            let heading = random.value(in: 0...6.3)
            for _ in 0..<random.whole(in: 2...25) {
                let start = place(&random)
                let along = direction(heading + random.normal() * 0.7) * size * random.logarithmic(in: 0.01...0.5)
                raster.line(
                    from: start, to: start + along, width: random.value(in: 0.4...1.8), color: color,
                    opacity: random.value(in: 0.2...0.9))
            }
        }
        if random.chance(0.06) {
            let color = random.pick([Ground.kraft, .dark, .paper]).color(&random)
            for _ in 0..<random.whole(in: 5...80) {
                let (center, radius) = (place(&random), size * random.logarithmic(in: 0.001...0.012))
                let spot = Area(left: center.x - radius, top: center.y - radius, width: 2 * radius, height: 2 * radius)
                raster.fillEllipse(spot, color: color, opacity: random.value(in: 0.2...0.9))
            }
        }
        if random.chance(0.06) {
            // Folds are where a soft noise passes through zero.
            let wavelength = Point(size, size) * random.logarithmic(in: 0.05...0.4)
            let folds = FractalNoise(wavelength: wavelength * Point(1, random.value(in: 0.4...2)), octaves: 2, &random)
            let (strength, width) = (random.value(in: 0.15...0.8), random.value(in: 6...25))
            for row in 0..<raster.height {
                let values = folds.row(at: Float(row) + 0.5, count: raster.width)
                for column in 0..<raster.width {
                    let fold = 1 - min(abs(values[column]) * width, 1)
                    let light = strength * fold * fold
                    raster.pixels[row * raster.width + column] += Tone(light, light, light, 0)
                }
            }
        }
    }

    /// Lines of pixels, and a dark frame.
    private mutating func paintScreen(_ random: inout RandomSource) {
        let pitch = random.value(in: 1.6...4)
        let strength = random.chance(0.5) ? random.value(in: 0.05...0.45) : 0
        if strength > 0 {
            for row in 0..<raster.height {
                let vertical = (Float(row) / pitch).truncatingRemainder(dividingBy: 1)
                for column in 0..<raster.width {
                    let phase = (Float(column) / pitch).truncatingRemainder(dividingBy: 1) * 3
                    var mask = Tone(repeating: 1 - strength)
                    mask[min(Int(phase), 2)] = 1
                    if vertical < 0.25 { mask *= 1 - strength * 0.6 }
                    mask.w = 1
                    raster.pixels[row * raster.width + column] *= mask
                }
            }
        }
        let bezel = min(raster.area.width, raster.area.height) * random.value(in: 0...0.05)
        raster.stroke(raster.area, lineWidth: bezel, color: .gray(random.value(in: 0.01...0.2)))
    }

    /// Makes what lies outside the round corners transparent.
    private mutating func roundCorners(_ random: inout RandomSource) {
        let side = min(raster.area.width, raster.area.height)
        let radius = side * random.value(in: design.cornerRadius)
        guard radius > 1 else { return }
        let area = raster.area
        let inner = area.expanded(by: -radius)
        for row in 0..<raster.height where Float(row) < radius || Float(row) > area.height - radius {
            for column in 0..<raster.width {
                let point = Point(Float(column) + 0.5, Float(row) + 0.5)
                let horizontal = max(abs(point.x - area.center.x) - inner.width / 2, 0)
                let vertical = max(abs(point.y - area.center.y) - inner.height / 2, 0)
                let distance = (horizontal * horizontal + vertical * vertical).squareRoot() - radius
                if distance > -0.5 { raster.pixels[row * raster.width + column].w = min(max(0.5 - distance, 0), 1) }
            }
        }
    }
}
