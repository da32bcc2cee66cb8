// The reader converts short decimals itself; every one must be the Double that the standard library makes of the text.

import Checkpoint
import TestSupport
import Testing

@Suite struct JSONNumberTests {
    private func value(_ text: String) throws -> JSONValue {
        guard case .array(let elements) = try JSONValue(parsing: Array("[\(text)]".utf8), origin: "test") else {
            return .null
        }
        return elements[0]
    }

    @Test func decimalsAreRoundedOnce() throws {
        var random = SeededGenerator(seed: 11)
        for _ in 0..<20_000 {
            var text = Bool.random(using: &random) ? "-" : ""
            text += "\(UInt64.random(in: 0...UInt64.max, using: &random) >> UInt64.random(in: 0..<64, using: &random))"
            text += "."
            for _ in 0...Int.random(in: 0..<20, using: &random) { text += "\(Int.random(in: 0...9, using: &random))" }
            if Bool.random(using: &random) { text += "e\(Int.random(in: -40...40, using: &random))" }
            let expected = try #require(Double(text))
            guard case .number(let found) = try value(text) else {
                Issue.record("\(text) is no number")
                continue
            }
            #expect(found.bitPattern == expected.bitPattern, "\(text)")
        }
    }

    @Test(
        arguments: [
            ("0", .integer(0)), ("-0", .integer(0)), ("-0.0", .number(-0.0)), ("1E2", .number(100)),
            ("1e+2", .number(100)), ("1e-2", .number(0.01)), ("0e99999999999999999999", .number(0)),
            ("1e-99999999999999999999", .number(0)), ("9223372036854775807", .integer(.max)),
            ("-9223372036854775808", .integer(.min)), ("9223372036854775808", .number(9_223_372_036_854_775_808)),
            ("9007199254740993.0", .number(9_007_199_254_740_992)), ("5e-324", .number(.leastNonzeroMagnitude)),
        ] as [(String, JSONValue)])
    func edges(_ text: String, _ expected: JSONValue) throws {
        #expect(try value(text) == expected)
    }

    @Test(arguments: ["1e309", "1e99999999999999999999", "01", "1.", ".5", "+1", "1e", "-", "0x1", "NaN", "Infinity"])
    func noNumbers(_ text: String) {
        #expect(throws: CheckpointError.self) { try value(text) }
    }
}
