import CZint

/// A symbol to be printed: its class, its modules, what is written beside it.
struct CodeSymbol: Sendable {
    let kind: CodeKind
    let symbology: CZintSymbology
    let content: String
    let matrix: ModuleMatrix
    /// Below linear codes; may be empty.
    let text: String
    /// Whether the last row holds only the guard bars, between which the digits stand (EAN and UPC).
    let hasGuards: Bool

    /// Width by height in modules; linear codes' height was chosen with them.
    var size: SIMD2<Float> { [Float(matrix.columns), matrix.height] }

    /// The digits that stand below codes with guard bars, with the modules that each group stands under; places left of
    /// the first and right of the last bar are beside the code.
    ///
    /// - Source: GS1 General Specifications 5.2, figures of EAN-13, EAN-8, UPC-A and UPC-E.
    var digitGroups: [(digits: String, modules: Range<Int>)] {
        let places: [(count: Int, modules: Range<Int>)] =
            switch (symbology, text.count) {
            case (CZINT_EAN, 13): [(1, -10 ..< -3), (6, 3..<45), (6, 50..<92)]
            case (CZINT_EAN, 8): [(4, 3..<31), (4, 36..<64)]
            case (CZINT_UPC_A, 12): [(1, -9 ..< -2), (5, 11..<46), (5, 49..<84), (1, 97..<104)]
            case (CZINT_UPC_E, 8): [(1, -9 ..< -2), (6, 3..<45), (1, 53..<60)]
            default: []
            }
        var rest = Substring(text)
        return places.map { place in
            defer { rest = rest.dropFirst(place.count) }
            return (String(rest.prefix(place.count)), place.modules)
        }
    }

    /// A random symbol of a class, of any of its variants, with random content.
    ///
    /// A content that its symbology refuses (too long for the size asked for) is replaced by another.
    /// - Throws: ``SymbolError`` when zint fails, not when it refuses.
    static func random(_ kind: CodeKind, _ random: inout RandomSource) throws(SymbolError) -> CodeSymbol {
        for _ in 0..<20 {
            do {
                return try CodeSymbol(kind, SymbolRequest.random(kind, &random), &random)
            } catch {
                guard error.reason == .invalidContent || error.reason == .invalidOption else { throw error }
            }
        }
        return try CodeSymbol(kind, .simple(kind, &random), &random)
    }

    /// - Throws: ``SymbolError``.
    init(_ kind: CodeKind, _ request: SymbolRequest, _ random: inout RandomSource) throws(SymbolError) {
        let (encoded, text) = try SymbolEncoder.encode(request)
        self.kind = kind
        symbology = request.symbology
        content = request.content
        var rows = (0..<encoded.rows).map { row in
            Array(encoded.modules[(row * encoded.columns)..<((row + 1) * encoded.columns)])
        }
        var heights = encoded.rowHeights
        var hasGuards = false
        switch kind {
        case .linear:
            // Single rows may be of any height; those of stacked ones keep their proportions.
            let height = Float(encoded.columns) * random.logarithmic(in: 0.13...0.85)
            if encoded.rows == 1 {
                heights = [height]
                if let addOn = Self.addOnStart(request, encoded) {
                    // Their digits stand above them.
                    let both = rows[0]
                    rows = [both.enumerated().map { $1 && $0 < addOn }, both]
                    let share = random.value(in: 0.05...0.25)
                    heights = [height * share, height * (1 - share)]
                } else if let guards = Self.guards(request.symbology, columns: encoded.columns), random.chance(0.8) {
                    rows.append(rows[0].enumerated().map { $1 && guards.contains($0) })
                    heights.append(random.value(in: 3...7))
                    hasGuards = true
                }
            } else {
                let scale = random.value(in: 0.7...1.3)
                heights = heights.map { $0 * scale }
            }
        case .pdf417:
            let rowHeights: [(Float, Float)] = [(3, 5), (2, 2), (4, 2), (5, 0.5)]
            let height = random.pick(weighted: rowHeights)
            heights = heights.map { _ in height }
        case .qrCode, .dataMatrix, .aztec:
            heights = heights.map { _ in 1 }
        }
        self.hasGuards = hasGuards
        // GS1 DataBar counts a part of its quiet zone as its own.
        let dark = (0..<encoded.columns).filter { column in rows.contains { $0[column] } }
        let columns = (dark.first ?? 0)...(dark.last ?? encoded.columns - 1)
        matrix = ModuleMatrix(
            columns: columns.count, rows: rows.count, modules: rows.flatMap { $0[columns] }, rowHeights: heights)
        self.text = text
    }

    /// The column at which an add-on of two or five digits begins; nil for codes without.
    /// - Source: GS1 General Specifications 5.2.2: EAN-13 and UPC-A are 95 modules wide, EAN-8 67, UPC-E 51.
    private static func addOnStart(_ request: SymbolRequest, _ encoded: ModuleMatrix) -> Int? {
        guard request.content.contains("+") else { return nil }
        let width =
            switch request.symbology {
            case CZINT_EAN: request.content.prefix { $0 != "+" }.count > 8 ? 95 : 67
            case CZINT_UPC_A: 95
            case CZINT_UPC_E: 51
            default: encoded.columns
            }
        return encoded.columns > width ? width : nil
    }

    /// The columns of the bars that reach down between the digits; nil for codes without.
    /// - Source: GS1 General Specifications 5.2, figures of EAN-13, EAN-8, UPC-A and UPC-E; without add-on symbols.
    private static func guards(_ symbology: CZintSymbology, columns: Int) -> Set<Int>? {
        switch (symbology, columns) {
        case (CZINT_EAN, 95): Set([0, 2, 46, 48, 92, 94])
        case (CZINT_EAN, 67): Set([0, 2, 32, 34, 64, 66])
        case (CZINT_UPC_A, 95): Set(0...9).union([46, 48]).union(85...94)
        case (CZINT_UPC_E, 51): Set([0, 2, 46, 48, 50])
        default: nil
        }
    }
}
