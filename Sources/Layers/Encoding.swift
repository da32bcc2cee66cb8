import COneDNN

/// How numbers lie in memory between products.
package struct Encoding: Sendable, Hashable {
    package enum Element: Sendable {
        case float32, bfloat16
        /// Whole numbers of steps: 0...255, and -127...127, or what a layer gives down to -128.
        case uint8, int8
    }

    package let element: Element
    /// What a whole number counts; 1 for the others.
    package let step: Float

    package static let float32 = Encoding(element: .float32, step: 1)
    package static let bfloat16 = Encoding(element: .bfloat16, step: 1)

    private init(element: Element, step: Float) {
        self.element = element
        self.step = step
    }

    /// Whole numbers for values in a range, which others are clamped to: without sign where the range has none.
    package init(wholeNumbersFor range: ClosedRange<Float>) {
        let largest = max(abs(range.lowerBound), abs(range.upperBound), .leastNormalMagnitude * 256)
        self.init(
            element: range.lowerBound < 0 ? .int8 : .uint8, step: largest / (range.lowerBound < 0 ? 127 : 255))
    }

    /// Bytes of a number.
    package var size: Int {
        switch element {
        case .float32: 4
        case .bfloat16: 2
        case .uint8, .int8: 1
        }
    }

    package var isWhole: Bool { element == .uint8 || element == .int8 }

    var bridged: onednn_type {
        switch element {
        case .float32: onednn_float32
        case .bfloat16: onednn_bfloat16
        case .uint8: onednn_uint8
        case .int8: onednn_int8
        }
    }
}

extension ComputePrecision {
    /// How the factors of products in this precision lie in memory on this processor.
    ///
    /// - Precondition: it is not int8, whose layers know the steps of their inputs.
    package var encoding: Encoding {
        switch native {
        case .float32: .float32
        case .bfloat16: .bfloat16
        case .int8: preconditionFailure("int8 has an encoding for each layer")
        }
    }
}
