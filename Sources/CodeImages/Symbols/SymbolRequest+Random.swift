import CZint

extension SymbolRequest {
    /// A random variant of a class with random content; zint may refuse it.
    static func random(_ kind: CodeKind, _ random: inout RandomSource) -> SymbolRequest {
        switch kind {
        case .qrCode: qrCode(&random)
        case .dataMatrix: dataMatrix(&random)
        case .aztec: aztec(&random)
        case .pdf417: pdf417(&random)
        case .linear: linear(&random)
        }
    }

    /// One that zint never refuses.
    static func simple(_ kind: CodeKind, _ random: inout RandomSource) -> SymbolRequest {
        let symbology =
            switch kind {
            case .qrCode: CZINT_QR
            case .dataMatrix: CZINT_DATA_MATRIX
            case .aztec: CZINT_AZTEC
            case .pdf417: CZINT_PDF417
            case .linear: CZINT_CODE128
            }
        return SymbolRequest(symbology: symbology, content: SymbolContent.digits(12, &random))
    }

    private static func qrCode(_ random: inout RandomSource) -> SymbolRequest {
        let level = Int32(random.whole(in: 1...4))
        switch random.unit() {
        case ..<0.05:
            return SymbolRequest(
                symbology: CZINT_MICRO_QR, content: SymbolContent.digits(random.whole(in: 2...20), &random))
        case ..<0.08:
            return SymbolRequest(
                symbology: CZINT_RECTANGULAR_MICRO_QR, content: SymbolContent.serial(random.whole(in: 3...60), &random))
        default:
            let length = Int(random.logarithmic(in: random.chance(0.07) ? 100...1200 : 6...110))
            // A version larger than needed is padded, as some programs make them.
            let version = random.chance(0.1) ? Int32(random.whole(in: 1...random.pick([8, 8, 20, 40]))) : 0
            return SymbolRequest(
                symbology: CZINT_QR, content: SymbolContent.text(length: length, &random), options: [level, version, 0])
        }
    }

    private static func dataMatrix(_ random: inout RandomSource) -> SymbolRequest {
        // Zint's `option_2`: 1...24 square sizes, 25...30 rectangles, 31...48 the rectangles of DMRE (ISO/IEC 21471).
        switch random.unit() {
        case ..<0.22:
            return SymbolRequest(
                symbology: CZINT_DATA_MATRIX, content: SymbolContent.serial(random.whole(in: 2...16), &random),
                options: [0, Int32(random.whole(in: 25...30)), 0])
        case ..<0.3:
            return SymbolRequest(
                symbology: CZINT_DATA_MATRIX, content: SymbolContent.serial(random.whole(in: 2...30), &random),
                options: [0, Int32(random.whole(in: 31...48)), 0])
        case ..<0.4:
            return SymbolRequest(symbology: CZINT_DATA_MATRIX, content: SymbolContent.gs1(&random), isGS1: true)
        default:
            let length = Int(random.logarithmic(in: random.chance(0.08) ? 60...900 : 3...60))
            return SymbolRequest(
                symbology: CZINT_DATA_MATRIX, content: SymbolContent.text(length: length, &random),
                // DM_SQUARE
                options: [0, 0, 100])
        }
    }

    private static func aztec(_ random: inout RandomSource) -> SymbolRequest {
        if random.chance(0.06) {
            return SymbolRequest(symbology: CZINT_AZTEC_RUNE, content: "\(random.whole(in: 0...255))")
        }
        // Zint's `option_2`: 1...4 compact, 5...36 full.
        let size = random.chance(0.35) ? Int32(random.whole(in: 1...20)) : 0
        let length = Int(random.logarithmic(in: random.chance(0.08) ? 80...900 : 3...90))
        return SymbolRequest(
            symbology: CZINT_AZTEC, content: SymbolContent.text(length: length, &random),
            options: [size == 0 ? Int32(random.whole(in: 0...4)) : 0, size, 0])
    }

    private static func pdf417(_ random: inout RandomSource) -> SymbolRequest {
        let length = Int(random.logarithmic(in: random.chance(0.15) ? 100...500 : 8...200))
        switch random.unit() {
        case ..<0.12:
            return SymbolRequest(
                symbology: CZINT_MICRO_PDF417, content: SymbolContent.serial(random.whole(in: 4...90), &random),
                options: [0, Int32(random.whole(in: 0...4)), 0])
        case ..<0.2:
            return SymbolRequest(
                symbology: CZINT_TRUNCATED_PDF417, content: SymbolContent.text(length: length, &random),
                options: [Int32(random.whole(in: 0...5)), Int32(random.whole(in: 2...12)), 0])
        default:
            // Mostly wider than high: about `length * 0.6 + 20` codewords of 17 by 3 modules beside 69 modules of ends.
            let aspect = random.logarithmic(in: 0.8...5)
            let fitting = Int((aspect * 3 / 17 * (Float(length) * 0.6 + 20)).squareRoot()) - 1
            let columns = Int32(random.chance(0.75) ? min(max(fitting, 1), 18) : random.whole(in: 1...18))
            return SymbolRequest(
                symbology: CZINT_PDF417, content: SymbolContent.text(length: length, &random),
                options: [Int32(random.whole(in: 0...6)), columns, 0])
        }
    }

    private static func linear(_ random: inout RandomSource) -> SymbolRequest {
        let shares: [(CZintSymbology, Float)] = [
            (CZINT_EAN, 24), (CZINT_CODE128, 18), (CZINT_CODE39, 11), (CZINT_UPC_A, 8), (CZINT_INTERLEAVED_2_OF_5, 6),
            (CZINT_GS1_128, 6), (CZINT_UPC_E, 4), (CZINT_ITF14, 4), (CZINT_CODABAR, 4), (CZINT_CODE93, 3),
            (CZINT_CODE32, 2), (CZINT_MSI, 2), (CZINT_DATABAR, 1.5), (CZINT_DATABAR_LIMITED, 1),
            (CZINT_DATABAR_EXPANDED, 1.5), (CZINT_DATABAR_STACKED, 0.3), (CZINT_DATABAR_EXPANDED_STACKED, 0.3),
            (CZINT_CODE11, 1), (CZINT_STANDARD_2_OF_5, 0.7), (CZINT_INDUSTRIAL_2_OF_5, 0.7), (CZINT_TELEPEN, 0.7),
            (CZINT_PZN, 1.5), (CZINT_SSCC18, 1.5), (CZINT_LEITCODE, 1), (CZINT_PHARMACODE, 0.5), (CZINT_PLESSEY, 0.5),
        ]
        let symbology = random.pick(weighted: shares)
        return SymbolRequest(
            symbology: symbology, content: linearContent(symbology, &random),
            isGS1: [CZINT_GS1_128, CZINT_DATABAR_EXPANDED, CZINT_DATABAR_EXPANDED_STACKED].contains(symbology))
    }

    /// The issue of a magazine, the price of a book.
    private static func addOn(_ random: inout RandomSource) -> String {
        random.chance(0.09) ? "+" + SymbolContent.digits(random.chance(0.5) ? 2 : 5, &random) : ""
    }

    private static func linearContent(_ symbology: CZintSymbology, _ random: inout RandomSource) -> String {
        switch symbology {
        case CZINT_EAN:
            let digits = SymbolContent.digits(random.chance(0.2) ? 7 : 12, &random)
            return digits + addOn(&random)
        case CZINT_UPC_A: return SymbolContent.digits(11, &random) + addOn(&random)
        case CZINT_UPC_E: return SymbolContent.digits(6, &random)
        case CZINT_ITF14, CZINT_DATABAR, CZINT_DATABAR_STACKED, CZINT_LEITCODE: return SymbolContent.digits(13, &random)
        case CZINT_DATABAR_LIMITED: return "0" + SymbolContent.digits(12, &random)
        case CZINT_SSCC18: return SymbolContent.digits(17, &random)
        case CZINT_CODE32: return SymbolContent.digits(8, &random)
        case CZINT_PZN: return SymbolContent.digits(6, &random)
        case CZINT_PHARMACODE: return "\(random.whole(in: 500...131_000))"
        case CZINT_CODABAR:
            let ends = ["A", "B", "C", "D"]
            return random.pick(ends) + SymbolContent.digits(random.whole(in: 4...16), &random) + random.pick(ends)
        case CZINT_INTERLEAVED_2_OF_5: return SymbolContent.digits(2 * random.whole(in: 2...12), &random)
        case CZINT_GS1_128, CZINT_DATABAR_EXPANDED, CZINT_DATABAR_EXPANDED_STACKED: return SymbolContent.gs1(&random)
        case CZINT_MSI, CZINT_CODE11, CZINT_STANDARD_2_OF_5, CZINT_INDUSTRIAL_2_OF_5, CZINT_PLESSEY:
            return SymbolContent.digits(random.whole(in: 4...12), &random)
        case CZINT_CODE39: return SymbolContent.serial(random.whole(in: 3...13), &random)
        default:
            let length = Int(random.logarithmic(in: 3...24))
            return random.chance(0.4)
                ? SymbolContent.digits(length, &random)
                : SymbolContent.capitals(2, &random) + SymbolContent.serial(length, &random)
        }
    }
}
