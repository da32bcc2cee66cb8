import CZint
import Tensors

/// A content that cannot be made into a symbol.
public struct SymbolError: DiagnosedError, Equatable {
    public enum Reason: Sendable, Equatable {
        /// Characters, length or check digit that the symbology refuses.
        case invalidContent
        /// An option out of range, or a size too small for the content.
        case invalidOption
        case outOfMemory
        /// Zint broke off.
        case encoderFailed
    }

    public let reason: Reason
    /// Zint's number of the symbology.
    public let symbology: Int
    /// What zint said.
    public let detail: String

    public var code: String {
        switch reason {
        case .invalidContent: "invalid_symbol_content"
        case .invalidOption: "invalid_symbol_option"
        case .outOfMemory: "out_of_memory"
        case .encoderFailed: "symbol_encoder_failed"
        }
    }

    public var description: String { "cannot encode a symbol of zint's symbology \(symbology): \(detail)" }
}

/// What to encode, and how.
package struct SymbolRequest: Sendable, Equatable {
    package let symbology: CZintSymbology
    package var content: String
    /// Zint's three options; 0 for defaults.
    package var options: SIMD3<Int32> = .zero
    package var isGS1 = false

    package init(symbology: CZintSymbology, content: String, options: SIMD3<Int32> = .zero, isGS1: Bool = false) {
        self.symbology = symbology
        self.content = content
        self.options = options
        self.isGS1 = isGS1
    }
}

/// The dark and light modules of a symbol, without quiet zone.
package struct ModuleMatrix: Sendable, Equatable {
    package let columns: Int
    package let rows: Int
    /// `[rows, columns]`, true for dark.
    package let modules: [Bool]
    /// In modules, each positive; a linear code's height is chosen where it is drawn.
    package let rowHeights: [Float]

    init(columns: Int, rows: Int, modules: [Bool], rowHeights: [Float]) {
        precondition(modules.count == columns * rows && rowHeights.count == rows, "a matrix of \(columns)x\(rows)")
        self.columns = columns
        self.rows = rows
        self.modules = modules
        self.rowHeights = rowHeights
    }

    /// In modules.
    var height: Float { rowHeights.reduce(0, +) }

    subscript(column: Int, row: Int) -> Bool { modules[row * columns + column] }

    /// Light outside.
    func isDark(_ column: Int, _ row: Int) -> Bool {
        column >= 0 && row >= 0 && column < columns && row < rows && modules[row * columns + column]
    }
}

/// Zint behind a Swift face. Its encoders keep no state between calls, so any number of threads may encode.
package enum SymbolEncoder {
    /// - Returns: the modules, and the text that people read below linear codes.
    /// - Throws: ``SymbolError``.
    package static func encode(_ request: SymbolRequest) throws(SymbolError) -> (matrix: ModuleMatrix, text: String) {
        var raw = CZintRequest(
            symbology: Int32(request.symbology.rawValue),
            options: (request.options.x, request.options.y, request.options.z), is_gs1: request.isGS1 ? 1 : 0)
        var symbol = CZintSymbol()
        var modules = [UInt8](repeating: 0, count: Int(CZINT_MAXIMUM_ROWS) * Int(CZINT_MAXIMUM_COLUMNS))
        let content = Array(request.content.utf8)
        let status = czint_encode(&raw, content, Int32(clamping: content.count), &symbol, &modules)
        guard status == CZINT_OK else {
            throw SymbolError(
                reason: reason(for: status), symbology: Int(request.symbology.rawValue),
                detail: string(symbol.message))
        }
        let (columns, rows) = (Int(symbol.columns), Int(symbol.rows))
        let heights = withUnsafeBytes(of: symbol.row_heights) { bytes in
            bytes.bindMemory(to: Float.self).prefix(rows).map { $0 > 0 ? $0 : 1 }
        }
        let matrix = ModuleMatrix(
            columns: columns, rows: rows, modules: modules.prefix(columns * rows).map { $0 != 0 }, rowHeights: heights)
        return (matrix, string(symbol.text))
    }

    private static func reason(for status: CZintStatus) -> SymbolError.Reason {
        switch status {
        case CZINT_INVALID_CONTENT: .invalidContent
        case CZINT_INVALID_OPTION: .invalidOption
        case CZINT_OUT_OF_MEMORY: .outOfMemory
        default: .encoderFailed
        }
    }

    /// The text of a C array as far as its terminating zero.
    private static func string(_ field: some Any) -> String {
        withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}
