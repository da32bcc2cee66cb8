/// How a picture's first code is shown.
enum Framing: Sendable {
    /// Among other things, at any size.
    case scene
    /// Its label or page fills most of the picture, the code much of it.
    case closeUp
    /// A whole page or label from straight above, as scanned or drawn by a program.
    case page
    /// A code as a program draws it, with little or nothing around.
    case bare

    static func random(_ random: inout RandomSource) -> Framing {
        let shares: [(Framing, Float)] = [(.scene, 64), (.closeUp, 16), (.page, 13), (.bare, 7)]
        return random.pick(weighted: shares)
    }

    /// Whether the surface lies flat and fills the picture exactly.
    var isFlat: Bool { self == .page || self == .bare }

    func medium(_ random: inout RandomSource) -> Camera.Medium {
        switch self {
        case .scene, .closeUp: .camera
        case .page: random.pick(weighted: [(.camera, 0.35), (.scanner, 0.4), (.program, 0.25)])
        case .bare: random.pick(weighted: [(.camera, 0.2), (.scanner, 0.2), (.program, 0.6)])
        }
    }

    func design(_ random: inout RandomSource) -> SurfaceDesign {
        switch self {
        // Close by, plain paper with nothing but a code is common.
        case .closeUp where random.chance(0.3): .bare
        case .scene, .closeUp: random.pick(weighted: SurfaceDesign.all.map { ($0, $0.weight) })
        case .page: .page
        case .bare: .bare
        }
    }

    /// How long the longer side of a code is in the picture, in pixels, before what its modules need.
    ///
    /// - Parameter proportions: of the code, the longer side 1.
    func codeLength(_ proportions: Point, width: Float, height: Float, _ random: inout RandomSource) -> Float {
        let shorter = min(width, height)
        let fitting = min(width / proportions.x, height / proportions.y)
        // Long codes are held nearer than square ones, though not so near that they become as high.
        let elongation = 1 / proportions.min().squareRoot().squareRoot()
        return switch self {
        case .scene:
            shorter * elongation
                * (random.chance(0.68) ? random.logarithmic(in: 0.36...1.25) : random.logarithmic(in: 0.03...0.36))
        case .closeUp:
            random.chance(0.6) ? fitting * random.value(in: 0.6...1.1) : shorter * random.value(in: 0.5...1.2)
        case .page: shorter * random.logarithmic(in: 0.1...0.9)
        case .bare: fitting * random.logarithmic(in: 0.35...1)
        }
    }
}
