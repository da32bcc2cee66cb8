/// How a symbol's modules look in print.
struct SymbolStyle: Sendable {
    enum Shape: Sendable {
        case square
        /// Round dots of this radius in modules.
        case dots(radius: Float)
        /// Squares whose free corners are round.
        case rounded
    }

    var shape = Shape.square
    /// Whether a QR code's three finders stay square among dots.
    var keepsFinders = false
    /// How far dark grows into light, in modules, across and down; negative shrinks it.
    var growth: Point = .zero
    var ink: Tone = .gray(0)
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
        case .qrCode where random.chance(0.16):
            style.shape = random.chance(0.5) ? .rounded : .dots(radius: random.value(in: 0.36...0.5))
            style.keepsFinders = random.chance(0.8)
        case .dataMatrix where random.chance(0.18):
            style.shape = random.chance(0.2) ? .rounded : .dots(radius: random.value(in: 0.32...0.55))
        case .aztec where random.chance(0.06):
            style.shape = .rounded
        default: break
        }
        if random.chance(0.55) {
            let growth = random.normal() * 0.08
            style.growth = random.chance(0.7) ? [growth, growth] : [growth, 0]
            if symbol.kind == .linear || symbol.kind == .pdf417 { style.growth.y = 0 }
        }
        if symbol.kind == .qrCode, symbol.matrix.columns >= 25, random.chance(0.14) {
            style.logoShare = random.value(in: 0.14...0.3)
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
