/// How a symbol's modules look in print.
struct SymbolStyle: Sendable {
    enum Shape: Sendable {
        case square
        /// Round dots of this radius in modules.
        case dots(radius: Float)
        /// Squares whose free corners are round.
        case rounded
        /// Squares that touch no neighbour, each smaller by this share of a module on every side.
        case apart(gap: Float)
    }

    /// What a QR code's finders are drawn as.
    enum Finders: Sendable {
        /// As its other modules.
        case modules
        /// Square, among dots.
        case square
        case round
        /// Squares with round corners.
        case soft
    }

    var shape = Shape.square
    var finders = Finders.modules
    /// How far dark grows into light, in modules, across and down; negative shrinks it.
    var growth: Point = .zero
    var ink: Tone = .gray(0)
    /// The ink at the symbol's far side, or around its middle, when it changes across the symbol.
    var farInk: (color: Tone, isRadial: Bool, angle: Float)?
    /// A QR code's finders may have another colour.
    var finderInk: Tone?
    /// How far edges stray, in modules, as ink does on rough paper.
    var raggedness: Float = 0
    /// How far each module lies off its place, in modules, as peened dots do.
    var jitter: Float = 0
    /// How much lighter one side of each mark is than the other, as in stamped and peened marks.
    var relief: Float = 0
    /// How much of the surface the ink hides.
    var opacity: Float = 1
    /// A patch below the symbol; nil prints on the surface itself.
    var patch: Tone?
    /// The patch's margin around the symbol, in modules.
    var quietZone: Float = 4
    /// Share of a QR code's side that a picture in its middle hides; 0 for none.
    var logoShare: Float = 0
    /// Worn ink: 0 none ... 1 half of it gone.
    var wear: Float = 0
    /// Lines along which the printer left ink out, as shares of the symbol's width (or height).
    var missingLines: [(position: Float, width: Float, isHorizontal: Bool)] = []

    static func random(_ symbol: CodeSymbol, _ random: inout RandomSource) -> SymbolStyle {
        var style = SymbolStyle()
        switch symbol.kind {
        case .qrCode where random.chance(0.22):
            let shapes: [Shape] = [
                .rounded, .rounded, .dots(radius: random.value(in: 0.36...0.5)),
                .apart(gap: random.value(in: 0.03...0.14)),
                .square,
            ]
            style.shape = random.pick(shapes)
            style.finders = random.pick([.modules, .square, .round, .soft, .soft])
            if random.chance(0.3) { style.finderInk = Ground.colored.color(&random).scaled(0.6) }
        case .dataMatrix where random.chance(0.26):
            let shapes: [Shape] = [
                .rounded, .dots(radius: random.value(in: 0.3...0.55)), .dots(radius: random.value(in: 0.3...0.55)),
                .apart(gap: random.value(in: 0.03...0.18)),
            ]
            style.shape = random.pick(shapes)
            if random.chance(0.4) { style.jitter = random.value(in: 0.02...0.14) }
            if random.chance(0.4) { style.relief = random.value(in: 0.2...1) }
        case .aztec where random.chance(0.1):
            style.shape = random.pick([.rounded, .apart(gap: random.value(in: 0.02...0.08))])
        default: break
        }
        if random.chance(0.12) { style.raggedness = random.logarithmic(in: 0.05...0.35) }
        if random.chance(0.55) {
            let growth = random.normal() * 0.08
            style.growth = random.chance(0.7) ? [growth, growth] : [growth, 0]
            if symbol.kind == .linear || symbol.kind == .pdf417 { style.growth.y = 0 }
        }
        if symbol.kind == .qrCode, symbol.matrix.columns >= 25, random.chance(0.2) {
            style.logoShare = random.value(in: 0.14...0.34)
        }
        if random.chance(0.14) { style.wear = random.value(in: 0.05...0.75) }
        if random.chance(0.08) {
            let isHorizontal = random.chance(0.5)
            style.missingLines = (0...random.whole(in: 0...4)).map { _ in
                (random.unit(), random.logarithmic(in: 0.003...0.03), isHorizontal)
            }
        }
        style.quietZone = random.chance(0.7) ? random.value(in: 1.5...6) : random.value(in: 0.3...12)
        if symbol.kind == .linear { style.quietZone *= 1.6 }
        return style
    }
}
