import CZint
import CodeImages
import Testing

@Suite struct SymbolTests {
    /// The matrix of "1" as a Code 39 symbol from zint 2.11.1, by hand from ISO/IEC 16388: `*1*` with ratio 2.
    @Test func code39IsAsTheStandardDrawsIt() throws {
        let (matrix, text) = try SymbolEncoder.encode(SymbolRequest(symbology: CZINT_CODE39, content: "1"))
        // Narrow 1, wide 2; bars are upper, spaces lower case: * = n W n n W n W n n (bar first).
        let start = "1001011011010"
        let one = "1101001010110"
        let drawn = String(matrix.modules.prefix(26).map { $0 ? "1" : "0" })
        #expect(drawn == start + one)
        #expect(text == "*1*")
        #expect(matrix.rows == 1)
    }

    @Test func qrCodeHasItsFinders() throws {
        let (matrix, _) = try SymbolEncoder.encode(
            SymbolRequest(symbology: CZINT_QR, content: "https://example.org", options: [1, 0, 0]))
        #expect(matrix.columns == matrix.rows)
        #expect((matrix.columns - 17).isMultiple(of: 4))
        let finder = ["1111111", "1000001", "1011101", "1011101", "1011101", "1000001", "1111111"]
        for (row, expected) in finder.enumerated() {
            let drawn = (0..<7).map { matrix.modules[row * matrix.columns + $0] ? "1" : "0" }.joined()
            #expect(drawn == expected, "row \(row)")
        }
    }

    @Test(arguments: [
        (CZINT_EAN, "12345678901a", SymbolError.Reason.invalidContent),
        (CZINT_UPC_A, "", .invalidContent),
        (CZINT_AZTEC_RUNE, "256", .invalidContent),
        (CZINT_PHARMACODE, "999999", .invalidContent),
        (CZINT_CODE128, String(repeating: "x", count: 20_000), .invalidContent),
    ])
    func refusedContentIsATypedError(_ symbology: CZintSymbology, _ content: String, _ reason: SymbolError.Reason) {
        let error = #expect(throws: SymbolError.self) {
            try SymbolEncoder.encode(SymbolRequest(symbology: symbology, content: content))
        }
        #expect(error?.reason == reason)
        #expect(error?.detail.isEmpty == false)
        #expect(error?.symbology == Int(symbology.rawValue))
    }

    @Test func contentTooLongForItsSizeIsATypedError() {
        let request = SymbolRequest(
            symbology: CZINT_QR, content: String(repeating: "a", count: 3000), options: [4, 1, 0])
        #expect(throws: SymbolError.self) { try SymbolEncoder.encode(request) }
    }
}
