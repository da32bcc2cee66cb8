/// A sort of thing that carries codes: how big it is beside them, what it is made of, what else is on it.
struct SurfaceDesign: Sendable {
    /// How often it is chosen.
    var weight: Float
    /// Its longer side relative to its code's.
    var ratio: ClosedRange<Float>
    /// Height by width.
    var aspect: ClosedRange<Float>
    var grounds: [Ground]
    var decorations: [Decoration]
    var decorationCount: ClosedRange<Int>
    /// Codes on it; the first is the one that the scene's scale is about.
    var codeCount: ClosedRange<Int> = 1...1
    /// How often a white or other patch lies below a code, on grounds that are not light.
    var patchChance: Float = 0.6
    /// Radius of its corners relative to its shorter side.
    var cornerRadius: ClosedRange<Float> = 0...0.05
    /// How often it is bent as a bottle, crumpled as a bag, thick as a carton.
    var bendChance: Float = 0.05
    var crumpleChance: Float = 0.1
    var thicknessChance: Float = 0
    var gloss: ClosedRange<Float> = 0...0.3
    /// How often it shines by itself.
    var screenChance: Float = 0
    /// How often its codes have an ink other than black.
    var colorChance: Float = 0.12
    /// How often its codes are light on dark.
    var inversionChance: Float = 0.03
    /// How often the code is turned on it by a quarter or more.
    var turnChance: Float = 0.15

    static let all: [SurfaceDesign] = [
        // Adhesive labels, shelf labels.
        SurfaceDesign(
            weight: 16, ratio: 1.15...2.6, aspect: 0.3...1.3, grounds: [.paper, .paper, .paper, .tinted, .kraft],
            decorations: [.headline, .textBlock, .number, .logo, .frame, .smallPrint, .table, .form, .icons, .signs],
            decorationCount: 0...5, codeCount: 1...3, cornerRadius: 0...0.12, bendChance: 0.15, crumpleChance: 0.15),
        // A bare piece of paper or a sticker with nothing but the code.
        SurfaceDesign(
            weight: 9, ratio: 1.1...1.7, aspect: 0.5...1.4, grounds: [.paper, .paper, .tinted, .colored],
            decorations: [.headline, .number], decorationCount: 0...1, cornerRadius: 0...0.2, crumpleChance: 0.2),
        // Cartons and parcels.
        SurfaceDesign(
            weight: 10, ratio: 1.4...4, aspect: 0.4...1.4, grounds: [.kraft, .kraft, .paper, .colored, .tinted],
            decorations: [.headline, .textBlock, .icons, .logo, .frame, .number, .band, .smallPrint, .signs],
            decorationCount: 2...10, codeCount: 1...3, patchChance: 0.7, thicknessChance: 0.8),
        // Packages of food, medicine, cosmetics.
        SurfaceDesign(
            weight: 14, ratio: 1.4...4, aspect: 0.4...2,
            grounds: [.colored, .colored, .paper, .tinted, .dark, .plastic],
            decorations: [
                .headline, .textBlock, .smallPrint, .smallPrint, .logo, .icons, .band, .picture, .table, .pattern,
                .signs,
            ],
            decorationCount: 4...16, codeCount: 1...2, patchChance: 0.85, cornerRadius: 0...0.08, bendChance: 0.2,
            crumpleChance: 0.3, thicknessChance: 0.35, gloss: 0...0.9, colorChance: 0.25),
        // Bottles, cans, cups, tubes.
        SurfaceDesign(
            weight: 9, ratio: 1.4...3.2, aspect: 0.5...2,
            grounds: [.colored, .paper, .plastic, .dark, .metal, .tinted],
            decorations: [.headline, .textBlock, .smallPrint, .logo, .band, .icons, .picture, .number],
            decorationCount: 3...12, codeCount: 1...2, patchChance: 0.8, bendChance: 1, gloss: 0.1...1,
            colorChance: 0.2,
            turnChance: 0.3),
        // Receipts, tickets, boarding passes, invoices.
        SurfaceDesign(
            weight: 8, ratio: 1.3...4.5, aspect: 0.3...3, grounds: [.paper, .paper, .tinted],
            decorations: [.textBlock, .smallPrint, .table, .headline, .number, .form, .logo], decorationCount: 4...14,
            codeCount: 1...2, crumpleChance: 0.4, colorChance: 0.06),
        // Pages of books and letters.
        SurfaceDesign(
            weight: 10, ratio: 2.2...6, aspect: 0.6...1.5, grounds: [.paper, .paper, .tinted],
            decorations: [
                .textBlock, .textBlock, .smallPrint, .headline, .picture, .table, .handwriting, .form, .signs,
            ],
            decorationCount: 6...18, codeCount: 1...2, bendChance: 0.1, crumpleChance: 0.25, colorChance: 0.1),
        // Cards, badges, passes, signs, posters.
        SurfaceDesign(
            weight: 10, ratio: 1.3...4, aspect: 0.5...1.7,
            grounds: [.paper, .tinted, .colored, .dark, .plastic, .metal],
            decorations: [.headline, .textBlock, .logo, .picture, .band, .number, .icons, .signs],
            decorationCount: 2...9,
            patchChance: 0.75, cornerRadius: 0...0.12, thicknessChance: 0.1, gloss: 0...0.7, colorChance: 0.25,
            inversionChance: 0.08),
        // Screens of phones, monitors, ticket machines.
        SurfaceDesign(
            weight: 7, ratio: 1.2...3.5, aspect: 0.5...2.1, grounds: [.paper, .paper, .colored, .dark, .tinted],
            decorations: [.headline, .textBlock, .icons, .logo, .band, .picture, .number], decorationCount: 0...6,
            patchChance: 0.9, cornerRadius: 0...0.1, bendChance: 0, crumpleChance: 0, thicknessChance: 0.2,
            gloss: 0...0.8, screenChance: 1, colorChance: 0.15, inversionChance: 0.08),
        // Parts of metal, plastic, wood, leather with the code on the material itself.
        SurfaceDesign(
            weight: 10, ratio: 1.2...3.5, aspect: 0.4...1.6,
            grounds: [.metal, .metal, .plastic, .concrete, .wood, .dark, .skinLike, .cloth],
            decorations: [.number, .textBlock, .headline, .logo], decorationCount: 0...3, patchChance: 0.15,
            cornerRadius: 0...0.3, bendChance: 0.25, thicknessChance: 0.4, gloss: 0...1, colorChance: 0.2,
            inversionChance: 0.25, turnChance: 0.25),
        // Sheets of many codes.
        SurfaceDesign(
            weight: 5, ratio: 2.2...5, aspect: 0.5...1.5, grounds: [.paper, .paper, .tinted, .kraft],
            decorations: [.headline, .textBlock, .table, .frame, .number], decorationCount: 0...5, codeCount: 3...14,
            crumpleChance: 0.1),
    ]
}

extension SurfaceDesign {
    /// A page, form or large label that is seen whole.
    static let page = SurfaceDesign(
        weight: 0, ratio: 1.1...8, aspect: 0.5...1.6, grounds: [.paper, .paper, .paper, .paper, .tinted, .colored],
        decorations: [
            .textBlock, .textBlock, .smallPrint, .headline, .table, .form, .number, .logo, .frame, .picture, .icons,
            .signs, .handwriting, .pattern,
        ],
        decorationCount: 3...22, codeCount: 1...4, cornerRadius: 0...0, bendChance: 0, crumpleChance: 0,
        colorChance: 0.1, turnChance: 0.25)

    /// Nothing but the code.
    static let bare = SurfaceDesign(
        weight: 0, ratio: 1.02...3, aspect: 0.5...1.6, grounds: [.paper, .paper, .paper, .tinted, .colored, .dark],
        decorations: [.headline, .number, .textBlock, .frame], decorationCount: 0...1, codeCount: 1...2,
        patchChance: 0.5, cornerRadius: 0...0, bendChance: 0, crumpleChance: 0, colorChance: 0.25,
        inversionChance: 0.08, turnChance: 0.1)
}

/// A symbol on a surface.
struct PlacedSymbol: Sendable {
    let symbol: CodeSymbol
    /// Without quiet zone and text, in the surface's pixels.
    let area: Area
}

/// A flat picture of a thing with codes, before it is bent, lit and seen from somewhere.
struct Surface: Sendable {
    var raster: Raster
    var symbols: [PlacedSymbol]
    var ground: Tone
    /// 0 dull ... 1 a mirror's highlight.
    var gloss: Float
    /// How much light it gives by itself.
    var glow: Float
}
