import Boxes
import Images

// Images simple enough to check every pixel of: for tests and tools.
extension CodeImageGenerator {
    /// A single symbol of a class, black on white, undistorted: what decoders must read and boxes must fit.
    ///
    /// - Throws: ``SymbolError`` when zint is out of memory.
    package func plainImage(
        _ number: Int, kind: CodeKind
    ) throws(SymbolError) -> (image: Image, annotation: CodeAnnotation) {
        var random = RandomSource(seed: seed, stream: UInt64(bitPattern: Int64(number)))
        let symbol = try CodeSymbol.random(kind, &random)
        let (raster, area) = Self.sheet(of: symbol, module: random.value(in: 3...5), isPrinted: true, &random)
        let annotation = CodeAnnotation(
            kind: kind,
            box: CornerBox(xMin: area.left, yMin: area.top, xMax: area.right, yMax: area.bottom), visibleShare: 1,
            isIgnored: false, content: symbol.content)
        return (Image(raster), annotation)
    }

    /// The same scene with and without a symbol's ink: a sheet seen from aside, bent and crumpled.
    ///
    /// - Throws: ``SymbolError`` when zint is out of memory.
    package func tiltedImages(
        _ number: Int, kind: CodeKind
    ) throws(SymbolError) -> (printed: Image, blank: Image, annotations: [CodeAnnotation]) {
        let (printed, blank) = try tiltedScenes(number, kind: kind)
        let annotations = printed.sightings().map { sighting in
            CodeAnnotation(
                kind: kind, box: sighting.box, visibleShare: sighting.visibleShare, isIgnored: false,
                content: sighting.symbol.content)
        }
        return (Image(printed.raster), Image(blank.raster), annotations)
    }

    /// How much of the symbol of ``tiltedImages(_:kind:)`` can be told in what a camera makes of its printed image.
    ///
    /// - Throws: ``SymbolError`` when zint is out of memory.
    package func legibleShare(
        _ number: Int, kind: CodeKind, camera: (_ printed: Image, _ box: CornerBox) -> Image
    ) throws(SymbolError) -> Float {
        let scene = try tiltedScenes(number, kind: kind).printed
        guard let whole = scene.sightings().first else { return 0 }
        return scene.sightings(in: camera(Image(scene.raster), whole.box)).first?.legibleShare ?? 0
    }

    private func tiltedScenes(
        _ number: Int, kind: CodeKind
    ) throws(SymbolError) -> (printed: Scene, blank: Scene) {
        var random = RandomSource(seed: seed, stream: UInt64(bitPattern: Int64(number)))
        let symbol = try CodeSymbol.random(kind, &random)
        let side: Float = 480
        let module = side * random.value(in: 0.25...0.5) / max(symbol.size.x, symbol.size.y)
        let start = random
        let (printed, area) = Self.sheet(of: symbol, module: module, isPrinted: true, &random)
        random = start
        let (blank, _) = Self.sheet(of: symbol, module: module, isPrinted: false, &random)
        let size = Point(printed.area.width, printed.area.height)
        var pose = Pose(
            size: size, anchor: area.center, place: [side / 2, side / 2], scale: 1,
            angles: (random.value(in: 0...6.3), random.value(in: -0.6...0.6), random.value(in: -0.6...0.6)),
            focalLength: side * 2)
        if number.isMultiple(of: 2) {
            pose.bend = Pose.Bend(axis: size.x / 2, radius: size.x * 0.5, sag: random.value(in: -0.2...0.2))
        }
        if number.isMultiple(of: 3) { pose.crumple = Pose.Crumple(wavelength: size / 3, depth: 0.06, &random) }
        let scenes = [printed, blank].map { raster in
            var scene = Scene(Raster(width: Int(side), height: Int(side), color: .gray(0.5)))
            var light = start
            let symbols = [PlacedSymbol(symbol: symbol, area: area)]
            scene.add(
                Surface(raster: raster, symbols: symbols, ground: .gray(1), gloss: 0, glow: 1), pose: pose, shadow: 0,
                highlight: nil, &light)
            return scene
        }
        return (scenes[0], scenes[1])
    }

    /// The noise of one row of pixels: as rows are filled, and point by point.
    package static func noise(
        seed: UInt64, wavelength: SIMD2<Float>, row: Int, count: Int
    ) -> (row: [Float], points: [Float]) {
        var random = RandomSource(seed: seed, stream: 0)
        let noise = FractalNoise(wavelength: wavelength, octaves: 3, &random)
        let vertical = Float(row) + 0.5
        return (
            noise.row(at: vertical, count: count), (0..<count).map { noise([Float($0) + 0.5, vertical]) }
        )
    }

    /// White paper with a wide margin around where the symbol is printed, or would be.
    private static func sheet(
        of symbol: CodeSymbol, module: Float, isPrinted: Bool, _ random: inout RandomSource
    ) -> (Raster, Area) {
        let size = symbol.size * module
        let margin = max(module * 12, 12)
        var raster = Raster(width: Int(size.x + 2 * margin), height: Int(size.y + 2 * margin), color: .gray(1))
        let area = Area(
            left: margin * random.value(in: 0.9...1), top: margin * random.value(in: 0.9...1), width: size.x,
            height: size.y)
        if isPrinted { raster.print(symbol, style: SymbolStyle(), in: area, quarterTurns: 0, &random) }
        return (raster, area)
    }
}

extension Image {
    init(_ raster: Raster) { self.init(width: raster.width, height: raster.height, pixels: raster.bytes) }
}
