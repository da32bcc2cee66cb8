// The golden file of these tests: tools/golden_assignment.py made it with scipy 1.17.1 and torch 2.15.0.

import Foundation
import TestSupport
import Testing

struct AssignmentGolden: Decodable {
    struct Case: Decodable, Sendable, CustomTestStringConvertible {
        struct Pairs: Decodable {
            let rows: [Int]
            let columns: [Int]
        }
        let name: String
        let rows: Int
        let columns: Int
        /// Row by row; nil where a pair is forbidden. Absent for large problems, which `seed` generates.
        let costs: [Double?]?
        let seed: UInt64?
        let expected: Pairs

        var testDescription: String { name }

        var matrix: [Double] {
            if let costs { return costs.map { $0 ?? .infinity } }
            var generator = CongruentialGenerator(state: seed ?? 0)
            return (0..<rows * columns).map { _ in Double(generator.next()) / 4_294_967_296 }
        }
    }

    struct Matching: Decodable {
        let logits: [[Float]]
        let boxes: [[Float]]
        let targetBoxes: [[Float]]
        let targetClasses: [Int]
        let overlap: [[Float]]
        let costs: [String: [[Double]]]
    }

    let assignments: [Case]
    let matching: Matching

    static func load() throws -> AssignmentGolden {
        let data = try Data(contentsOf: URL(fileURLWithPath: Fixture.path("assignments.json")))
        return try JSONDecoder().decode(AssignmentGolden.self, from: data)
    }
}

/// The golden script's generator: 32 bits a step.
struct CongruentialGenerator {
    var state: UInt64

    mutating func next() -> UInt32 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return UInt32(state >> 32)
    }

    /// One of the whole numbers of `range`, nearly evenly.
    mutating func next(in range: ClosedRange<Int>) -> Int { range.lowerBound + Int(next()) % range.count }
}
