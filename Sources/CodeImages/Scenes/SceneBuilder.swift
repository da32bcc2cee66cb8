/// Puts a scene together: backdrop, things without codes, things with codes, what covers them, light.
struct SceneBuilder {
    private(set) var scene: Scene
    /// Pixels to the finest detail that a code must keep to be told; a few where there is none.
    private(set) var moduleSide: Float = 4
    /// What takes the picture.
    private(set) var medium = Camera.Medium.camera
    private let width: Float
    private let height: Float
    private let fonts = FontCase()

    init(width: Int, height: Int) {
        self.width = Float(width)
        self.height = Float(height)
        scene = Scene(Raster(width: width, height: height, color: .gray(0.5)))
    }

    /// - Throws: ``SymbolError`` when zint is out of memory.
    mutating func build(isEmpty: Bool, _ random: inout RandomSource) throws(SymbolError) {
        let framing = isEmpty ? .scene : Framing.random(&random)
        medium = framing.medium(&random)
        guard !framing.isFlat else {
            try addCodes(framing, &random)
            if medium == .camera { light(&random) }
            return
        }
        var raster = Raster(width: Int(width), height: Int(height), color: .gray(0.5))
        raster.paint(.random(&random), fonts: fonts, &random)
        scene = Scene(raster)
        if random.chance(framing == .closeUp ? 0.1 : 0.34) { addSheet(&random) }
        let hasDistractors = random.chance(isEmpty ? 0.9 : framing == .closeUp ? 0.05 : 0.28)
        for _ in 0..<(hasDistractors ? random.whole(in: 1...3) : 0) { addDistractor(&random) }
        if random.chance(0.3) {
            // What lies farther away than the lens is set to.
            let sigma = max(width, height) * random.logarithmic(in: 0.001...0.02)
            scene.repaint { $0.blur(sigma: sigma) }
        }
        if !isEmpty {
            try addCodes(framing, &random)
            let others: [(Int, Float)] = [(0, 12), (1, 4.5), (2, 1.8), (3, 0.8)]
            for _ in 0..<(framing == .scene ? random.pick(weighted: others) : 0) { try addCodes(nil, &random) }
        }
        if random.chance(0.04) { addDistractor(&random) }
        light(&random)
    }

    private mutating func light(_ random: inout RandomSource) {
        let lighting = Lighting(width: Int(width), height: Int(height), &random)
        scene.repaint { lighting.apply(to: &$0) }
    }

    /// A surface with its codes somewhere in the image, at times partly covered.
    ///
    /// - Parameter framing: of the first codes; nil for others, which are small.
    private mutating func addCodes(_ framing: Framing?, _ random: inout RandomSource) throws(SymbolError) {
        let isFirst = framing != nil
        let design = (framing ?? .scene).design(&random)
        let count = random.chance(0.7) ? design.codeCount.lowerBound : random.whole(in: design.codeCount)
        let kind = Self.randomKind(&random)
        let (first, seenLength) = try firstCode(kind, framing, &random)
        var codes = [first]
        for _ in 1..<count {
            // Codes on one thing are often of one kind.
            codes.append(try CodeSymbol.random(random.chance(0.5) ? kind : Self.randomKind(&random), &random))
        }
        let modules = max(first.size.x, first.size.y)
        let side = seenLength / modules
        // Bars can still be told when their modules no longer can.
        let finest = first.kind == .linear ? side * 1.6 : side
        moduleSide = isFirst ? finest : min(moduleSide, finest)
        // Drawn a little larger than it is seen, so that warping does not blur it.
        let oversampling = framing == .scene || !isFirst ? random.value(in: 1...1.35) : random.value(in: 1...1.25)
        let roll = framing?.isFlat == true ? Self.flatRoll(&random) : nil
        var frame: (size: Point, isExact: Bool)?
        if let framing, framing != .scene {
            let isSideways = roll.map { abs(direction($0).y) > 0.5 } ?? false
            let margin: Float = framing == .closeUp ? random.value(in: 1...1.4) : 1.03
            frame = (
                (isSideways ? Point(height, width) : Point(width, height)) * oversampling * margin, framing.isFlat
            )
        }
        let surface = SurfacePainter.paint(
            design, codes: codes, codeLength: seenLength * oversampling,
            longestSide: max(width, height) * 1.5 * oversampling, frame: frame, fonts: fonts, &random)
        if let roll {
            let pose = Pose(
                size: Point(surface.raster.area.width, surface.raster.area.height), anchor: surface.raster.area.center,
                place: [width / 2, height / 2], scale: 1 / oversampling, angles: (roll, 0, 0), focalLength: width)
            scene.add(surface, pose: pose, shadow: 0, highlight: nil, &random)
            return
        }
        let target = surface.symbols.first?.area ?? surface.raster.area
        let seen = Point(target.width, target.height) / oversampling
        var place = self.place(for: seen, isFirst: isFirst, &random)
        var pose = self.pose(
            of: surface, design: design, anchor: target.center, place: place, 1 / oversampling, &random)
        // Things rarely lie on codes; where there is no room, this one is left out.
        var attempts = random.chance(0.1) ? 0 : 6
        while attempts > 0, scene.wouldHideSymbol(Scene.bounds(of: pose.outline(of: surface.raster.area, steps: 4))) {
            attempts -= 1
            guard attempts > 0 else { return }
            place = self.place(for: seen, isFirst: false, &random)
            pose = self.pose(
                of: surface, design: design, anchor: target.center, place: place, 1 / oversampling, &random)
        }
        let highlight = self.highlight(gloss: surface.gloss, near: place, &random)
        let shadow = random.chance(0.5) ? random.value(in: 0.1...0.6) : 0
        scene.add(surface, pose: pose, shadow: shadow, highlight: highlight, &random)
        if random.chance(0.12) {
            // Held by its edges.
            let bounds = Scene.bounds(of: pose.outline(of: surface.raster.area))
            for _ in 0..<random.whole(in: 1...4) { scene.add(.finger, near: bounds, &random) }
        }
        if random.chance(0.12) {
            let bounds = Scene.bounds(of: pose.outline(of: target))
            for _ in 0..<random.whole(in: 1...2) { scene.add(.random(&random), near: bounds, &random) }
        }
    }

    /// A symbol and how many pixels its longer side takes in the picture: from a few to the whole image.
    private func firstCode(
        _ kind: CodeKind, _ framing: Framing?, _ random: inout RandomSource
    ) throws(SymbolError) -> (CodeSymbol, Float) {
        var attempts = 8
        while true {
            let symbol = try CodeSymbol.random(kind, &random)
            let modules = max(symbol.size.x, symbol.size.y)
            let length =
                framing?.codeLength(symbol.size / modules, width: width, height: height, &random)
                ?? min(width, height) * random.logarithmic(in: 0.03...0.4)
            // More modules need more pixels to be a code at all; where there are few, codes of few modules are found.
            let coarsest: Float = framing == nil || random.chance(0.55) ? 1 : 2
            let least =
                modules * coarsest * (kind == .linear ? random.value(in: 0.65...1.2) : random.value(in: 0.85...1.8))
            attempts -= 1
            guard least > length, attempts > 0 else {
                // A little more than the image holds, lying or standing.
                let proportions = symbol.size / modules
                let lying = min(width / proportions.x, height / proportions.y)
                let standing = min(width / proportions.y, height / proportions.x)
                return (symbol, min(max(length, least, 12), max(lying, standing) * 1.12))
            }
        }
    }

    /// How a page lies in a scanner: upright or turned by quarters, rarely quite straight.
    private static func flatRoll(_ random: inout RandomSource) -> Float {
        let quarters = random.chance(0.75) ? 0 : Float(random.whole(in: 1...3))
        return quarters * .pi / 2 + (random.chance(0.5) ? 0 : random.normal() * 0.012)
    }

    private static func randomKind(_ random: inout RandomSource) -> CodeKind {
        let shares: [(CodeKind, Float)] = [
            (.qrCode, 25), (.linear, 32), (.dataMatrix, 18), (.pdf417, 15), (.aztec, 13),
        ]
        return random.pick(weighted: shares)
    }

    /// Mostly whole in the image, sometimes cut by its border.
    private func place(for size: Point, isFirst: Bool, _ random: inout RandomSource) -> Point {
        if random.chance(0.1) { return [random.unit() * width, random.unit() * height] }
        let margin = max(size.x, size.y) * (random.chance(0.5) ? 0.5 : 0.62)
        func coordinate(_ length: Float, _ random: inout RandomSource) -> Float {
            let free = length - 2 * margin
            guard free > 0 else { return length / 2 + random.normal() * length * 0.02 }
            // The first, larger code is likelier near the middle, as people point their phones.
            let share = isFirst && random.chance(0.6) ? 0.5 + random.normal() * 0.16 : random.unit()
            return margin + free * min(max(share, 0), 1)
        }
        return [coordinate(width, &random), coordinate(height, &random)]
    }

    private func pose(
        of surface: Surface, design: SurfaceDesign, anchor: Point, place: Point, _ scale: Float,
        _ random: inout RandomSource
    ) -> Pose {
        let size = Point(surface.raster.area.width, surface.raster.area.height)
        let focalLength = max(width, height) * random.logarithmic(in: 0.7...4)
        let quarter = Float.pi / 2
        let roll: Float =
            switch random.unit() {
            case ..<0.18: 0
            case ..<0.52: random.normal() * 0.12
            case ..<0.68: quarter * Float(random.whole(in: 1...3)) + random.normal() * 0.12
            default: random.value(in: 0...4 * quarter)
            }
        var tilt = random.chance(0.2) ? 0 : abs(random.normal()) * (random.chance(0.25) ? 0.6 : 0.25)
        tilt = min(tilt, 1.15)
        let axis = direction(random.value(in: 0...4 * quarter))
        let thickness =
            random.chance(design.thicknessChance) ? max(size.x, size.y) * random.logarithmic(in: 0.04...0.6) : 0
        while true {
            var pose = Pose(
                size: size, anchor: anchor, place: place, scale: scale,
                angles: (roll, axis.x * tilt, axis.y * tilt), focalLength: focalLength, thickness: thickness)
            guard pose.isInFront(focalLength: focalLength) || tilt < 0.01 else {
                tilt *= 0.6
                continue
            }
            if thickness == 0, random.chance(design.bendChance) {
                let reach = max(anchor.x, size.x - anchor.x)
                pose.bend = Pose.Bend(
                    axis: size.x * 0.5 + (anchor.x - size.x * 0.5) * random.unit(),
                    radius: reach * random.logarithmic(in: 0.62...2.5), sag: random.normal() * 0.15)
            }
            if random.chance(design.crumpleChance) {
                let wavelength = max(size.x, size.y) * random.logarithmic(in: 0.1...0.8)
                let folds = Point(wavelength, wavelength * random.logarithmic(in: 0.5...2))
                pose.crumple = Pose.Crumple(
                    wavelength: folds, depth: random.value(in: 0.02...0.12), shading: random.value(in: 0...3), &random)
            }
            return pose
        }
    }

    private func highlight(gloss: Float, near place: Point, _ random: inout RandomSource) -> Highlight? {
        guard random.chance(gloss * 0.7) else { return nil }
        let size = max(width, height)
        let center = place + Point(random.normal(), random.normal()) * size * 0.25
        let radii = Point(size * random.logarithmic(in: 0.02...0.3), size * random.logarithmic(in: 0.02...0.3))
        return Highlight(
            center: center, frequency: 1 / radii, turn: direction(random.value(in: 0...6.3)),
            brightness: random.value(in: 0.2...1.4) * gloss)
    }

    /// A page of text or pattern over much of the image, below the codes.
    private mutating func addSheet(_ random: inout RandomSource) {
        let size = max(width, height)
        var raster: Raster
        let ground: Tone
        if random.chance(0.65) {
            let material = random.pick([Ground.paper, .paper, .tinted, .kraft])
            ground = material.color(&random)
            raster = Raster(width: Int(width * 1.25), height: Int(height * 1.25), color: ground)
            let letter = size * random.logarithmic(in: 0.009...0.05)
            let ink = Tone.gray(random.value(in: 0...0.3))
            var y: Float = letter
            while y < raster.area.height {
                let height = letter * random.value(in: 3...14)
                let column = Area(
                    left: size * 0.05, top: y, width: size * random.value(in: 0.6...1.1), height: height)
                let decorations: [(Decoration, Float)] = [
                    (.textBlock, 12), (.headline, 1), (.table, 1), (.picture, 0.5), (.signs, 2), (.handwriting, 0.5),
                ]
                raster.decorate(random.pick(weighted: decorations), in: column, ink: ink, fonts: fonts, &random)
                if random.chance(0.08) {
                    // Marked by a felt pen.
                    let color = Tone.hue(random.value(in: 0.1...0.6), saturation: 0.8, value: 1)
                    raster.line(
                        from: [column.left, y + letter], to: [column.left + column.width * random.unit(), y + letter],
                        width: letter * 1.2, color: color, opacity: 0.45)
                }
                y += height + letter * random.value(in: 0.3...2)
            }
        } else {
            ground = random.pick(Ground.allCases).color(&random)
            raster = Raster(width: Int(width * 1.25), height: Int(height * 1.25), color: ground)
            raster.paint(random.pick(Pattern.allCases), in: raster.area, fonts: fonts, &random)
        }
        let surface = Surface(raster: raster, symbols: [], ground: ground, gloss: 0, glow: 0)
        add(surface, at: [width / 2, height / 2], scale: random.value(in: 0.7...1.5), &random)
    }

    /// A thing that carries print but no code.
    private mutating func addDistractor(_ random: inout RandomSource) {
        let size = max(width, height) * random.logarithmic(in: 0.08...0.8)
        let place = Point(random.unit() * width, random.unit() * height)
        if random.chance(0.45) {
            let aspect = random.logarithmic(in: 0.3...1)
            var raster = Raster(width: max(8, Int(size)), height: max(8, Int(size * aspect)), color: .gray(1))
            let margin = raster.area.height * random.value(in: 0...0.15)
            raster.paint(
                random.pick(Pattern.allCases), in: raster.area.expanded(by: -margin), fonts: fonts, &random)
            let surface = Surface(raster: raster, symbols: [], ground: .gray(0.8), gloss: 0, glow: 0)
            add(surface, at: place, scale: 1, &random)
        } else {
            var design = random.pick(SurfaceDesign.all)
            design.decorationCount = 2...9
            let surface = SurfacePainter.paint(
                design, codes: [], codeLength: size * 0.5, longestSide: max(width, height) * 1.2, fonts: fonts, &random)
            add(surface, at: place, scale: 1, &random)
        }
    }

    private mutating func add(_ surface: Surface, at place: Point, scale: Float, _ random: inout RandomSource) {
        let pose = pose(
            of: surface, design: SurfaceDesign.all[0], anchor: surface.raster.area.center, place: place, scale, &random)
        scene.add(
            surface, pose: pose, shadow: random.chance(0.5) ? random.value(in: 0.1...0.5) : 0, highlight: nil, &random)
    }
}
