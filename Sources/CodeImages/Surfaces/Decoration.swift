/// What is printed around codes.
enum Decoration: CaseIterable, Sendable {
    case headline, textBlock, smallPrint, number, table, logo, band, frame, icons, picture, pattern, form, handwriting
    /// Writing of no language, each sign a few strokes in a square: what the embedded font lacks looks as dense as this.
    case signs
}

extension Raster {
    /// Draws something into `area`.
    mutating func decorate(
        _ decoration: Decoration, in area: Area, ink: Tone, fonts: FontCase, _ random: inout RandomSource
    ) {
        let color = random.chance(0.2) ? Ground.colored.color(&random) : ink
        var style = TextStyle(color: color, &random)
        switch decoration {
        case .headline:
            let size = min(area.height * 0.8, area.width / 4)
            if random.chance(0.4) { style.weight = random.value(in: 0.05...0.15) }
            set(
                [SymbolContent.words(random.whole(in: 1...3), &random)], in: area, size: size, style: style, fonts,
                &random)
        case .number:
            let size = min(area.height * 0.85, area.width / 3)
            let number = SymbolContent.digits(random.whole(in: 1...4), &random)
            let text = random.pick([
                "\(number).99", "€ \(number),49", "\(number)", "LOT \(number)", "No. \(number)", "$\(number)",
            ])
            set([text], in: area, size: size, style: style, fonts, &random)
        case .textBlock, .smallPrint:
            let lineCount = decoration == .smallPrint ? random.value(in: 8...24) : random.value(in: 2...9)
            let size = max(4, area.height / lineCount / 1.25)
            let lines = (0..<Int(area.height / size / 1.25)).map { _ in
                random.chance(0.15)
                    ? SymbolContent.serial(random.whole(in: 4...14), &random)
                    : SymbolContent.words(random.whole(in: 3...14), &random)
            }
            set(lines, in: area, size: size, style: style, fonts, &random)
        case .table: paintTable(in: area, style: style, fonts, &random)
        case .logo: paintLogo(in: area, &random)
        case .band: fill(area, color: Ground.colored.color(&random))
        case .frame: stroke(area, lineWidth: max(1, min(area.width, area.height) * 0.02), color: color)
        case .icons:
            let side = min(area.height, area.width)
            for index in 0..<max(1, Int(area.width / side)) {
                let place = Area(left: area.left + Float(index) * side, top: area.top, width: side, height: side)
                paintLogo(in: place.expanded(by: -side * 0.1), &random)
            }
        case .picture: paintPicture(in: area, fonts: fonts, &random)
        case .pattern: paint(random.pick(Pattern.allCases), in: area, fonts: fonts, &random)
        case .form:
            for row in 0..<random.whole(in: 2...7) {
                let y = area.top + area.height * Float(row + 1) / 8
                line(from: [area.left, y], to: [area.right, y], width: max(0.8, area.height / 90), color: color)
            }
        case .handwriting: paintHandwriting(in: area, &random)
        case .signs: paintSigns(in: area, color: color, &random)
        }
    }

    /// Lines of text that end where the area does.
    private mutating func set(
        _ lines: [String], in area: Area, size: Float, style: TextStyle, _ fonts: FontCase,
        _ random: inout RandomSource
    ) {
        let typeface = fonts[size]
        let letter = size * (style.pitch ?? 0.55 * style.stretch + max(style.spacing, 0))
        let room = max(1, Int(area.width / letter))
        let isCentered = random.chance(0.3)
        for (index, text) in lines.enumerated() {
            let cut = String(text.prefix(room))
            let shift = isCentered ? max(0, (area.width - Float(cut.count) * letter) / 2) : 0
            let baseline = area.top + size * (1.25 * Float(index) + 0.9)
            guard baseline < area.bottom + 1 else { return }
            self.text(cut, typeface: typeface, origin: [area.left + shift, baseline], style: style)
        }
    }

    private mutating func paintTable(
        in area: Area, style: TextStyle, _ fonts: FontCase, _ random: inout RandomSource
    ) {
        let (columns, rows) = (random.whole(in: 2...6), random.whole(in: 2...10))
        let (width, height) = (area.width / Float(columns), area.height / Float(rows))
        let lineWidth = max(0.7, min(width, height) * 0.04)
        for row in 0...rows {
            let y = area.top + Float(row) * height
            line(from: [area.left, y], to: [area.right, y], width: lineWidth, color: style.color)
        }
        for column in 0...columns {
            let x = area.left + Float(column) * width
            line(from: [x, area.top], to: [x, area.bottom], width: lineWidth, color: style.color)
        }
        let size = height * 0.6
        guard size >= 4 else { return }
        for row in 0..<rows {
            for column in 0..<columns where random.chance(0.75) {
                let text = random.chance(0.5) ? SymbolContent.digits(4, &random) : SymbolContent.word(&random)
                self.text(
                    String(text.prefix(max(1, Int(width / size / 0.65)))), typeface: fonts[size],
                    origin: [area.left + Float(column) * width + 2, area.top + Float(row) * height + height * 0.75],
                    style: style)
            }
        }
    }

    /// A few shapes on top of each other.
    private mutating func paintLogo(in area: Area, _ random: inout RandomSource) {
        let side = min(area.width, area.height)
        for layer in 0..<random.whole(in: 1...4) {
            let color = random.chance(0.4) ? Tone.gray(random.pick([0, 1])) : Ground.colored.color(&random)
            let inset = side * Float(layer) * random.value(in: 0.08...0.2)
            let place = area.expanded(by: -inset)
            guard place.width > 1, place.height > 1 else { return }
            switch random.whole(in: 0...4) {
            case 0: fillEllipse(place, color: color)
            case 1: fillRounded(place, radius: side * random.value(in: 0...0.4), color: color)
            case 2:
                let radius = min(place.width, place.height) / 2
                strokeCircle(center: place.center, radius: radius * 0.85, lineWidth: radius * 0.25, color: color)
            case 3:
                let turn = random.value(in: 0...6.3)
                let corners = (0..<random.whole(in: 3...6)).map { corner in
                    place.center + direction(turn + Float(corner) * 1.5) * min(place.width, place.height) * 0.5
                }
                fillConvex(corners, color: { _ in color })
            default:
                line(
                    from: [place.left, place.bottom], to: [place.right, place.top], width: side * 0.12, color: color)
            }
        }
    }

    /// Something like a photograph: soft colours and round shapes.
    private mutating func paintPicture(in area: Area, fonts: FontCase, _ random: inout RandomSource) {
        if random.chance(0.5), area.width >= 24, area.height >= 24 {
            var picture = Raster(width: Int(area.width), height: Int(area.height), color: .gray(0.5))
            let views: [Backdrop] = [.jumble, .blots, .outdoors, .shelf, .bokeh, .foliage, .facade, .desk]
            picture.paint(random.pick(views), fonts: fonts, &random)
            let opacity = random.chance(0.8) ? 1 : random.value(in: 0.2...0.7)
            let origin = Point(area.left, area.top)
            paint(in: area.expanded(by: -0.5)) { (picture.sample($0 - origin), opacity) }
            return
        }
        let (first, second) = (Ground.colored.color(&random), Ground.tinted.color(&random))
        let size = max(area.width, area.height)
        let noise = FractalNoise(wavelength: [size / 2, size / 2], octaves: 4, &random)
        paint(in: area) { (first.mixed(with: second, share: 0.5 + noise($0)), 1) }
        for _ in 0..<random.whole(in: 1...6) {
            let width = area.width * random.value(in: 0.1...0.5)
            let height = area.height * random.value(in: 0.1...0.5)
            let place = Area(
                left: area.left + (area.width - width) * random.unit(),
                top: area.top + (area.height - height) * random.unit(), width: width, height: height)
            fillEllipse(place, color: Ground.colored.color(&random))
        }
    }

    private mutating func paintSigns(in area: Area, color: Tone, _ random: inout RandomSource) {
        let size = max(6, area.height / random.value(in: 1...8))
        let lineWidth = max(0.7, size * random.value(in: 0.05...0.12))
        let (columns, rows) = (min(60, Int(area.width / size)), Int(area.height / size / 1.2))
        for row in 0..<rows {
            for column in 0..<columns where !random.chance(0.08) {
                let corner = Point(area.left + Float(column) * size, area.top + Float(row) * size * 1.2)
                for _ in 0..<random.whole(in: 3...8) {
                    let start = corner + Point(random.unit(), random.unit()) * size * 0.85
                    // Strokes are mostly upright or level.
                    let reach = random.value(in: 0.2...0.8) * size
                    let along: Point =
                        random.chance(0.4)
                        ? [reach, 0] : random.chance(0.6) ? [0, reach] : [reach * 0.6, reach * 0.6]
                    let end = pointwiseMin(start + along, corner + size * 0.88)
                    line(from: start, to: end, width: lineWidth, color: color)
                }
            }
        }
    }

    private mutating func paintHandwriting(in area: Area, _ random: inout RandomSource) {
        let color = Tone.hue(random.value(in: 0.55...0.72), saturation: 0.7, value: random.value(in: 0...0.6))
        let size = min(area.height * 0.5, area.width * 0.15)
        guard size > 1 else { return }
        var pen = Point(area.left, area.top + area.height * 0.5)
        while pen.x < area.right - size {
            let next = pen + [size * random.value(in: 0.1...0.5), size * random.value(in: -0.8...0.8)]
            let low = min(max(next.y, area.top), area.bottom)
            line(from: pen, to: [next.x, low], width: max(0.8, size * 0.07), color: color)
            pen = [next.x, low]
        }
    }
}
