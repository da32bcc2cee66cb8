// Linear assignment against scipy's solutions, pair by pair, and against trying every permutation.

import Matcher
import Testing

@Suite struct LinearAssignmentTests {
    @Test(arguments: try AssignmentGolden.load().assignments)
    func pairsAreScipys(golden: AssignmentGolden.Case) throws {
        let found = try LinearAssignment.solve(golden.matrix, rows: golden.rows, columns: golden.columns)
        #expect(found.rows == golden.expected.rows)
        #expect(found.columns == golden.expected.columns)
    }

    @Test func noPermutationIsCheaper() throws {
        var generator = CongruentialGenerator(state: 11)
        for _ in 0..<300 {
            let rows = generator.next(in: 1...5)
            let columns = generator.next(in: 1...5)
            // Small whole numbers: many ties, and sums without rounding.
            let costs = (0..<rows * columns).map { _ in Double(generator.next(in: -3...3)) }
            let found = try LinearAssignment.solve(costs, rows: rows, columns: columns)
            #expect(found.count == min(rows, columns))
            #expect(found.rows == found.rows.sorted())
            #expect(Set(found.rows).count == found.count && Set(found.columns).count == found.count)
            let total = zip(found.rows, found.columns).reduce(0) { $0 + costs[$1.0 * columns + $1.1] }
            #expect(total == cheapest(costs, rows: rows, columns: columns), "\(rows) x \(columns): \(costs)")
        }
    }

    @Test func equalInputsGiveEqualPairings() throws {
        let costs = (0..<20 * 30).map { Double($0 * 7 % 4) }
        let first = try LinearAssignment.solve(costs, rows: 20, columns: 30)
        for _ in 0..<5 { #expect(try LinearAssignment.solve(costs, rows: 20, columns: 30) == first) }
    }

    @Test(arguments: [Double.nan, -.infinity])
    func refusesCostsThatCannotBeCompared(cost: Double) {
        #expect(throws: AssignmentError.invalidCost(row: 1, column: 2, cost: cost)) {
            try LinearAssignment.solve([0, 1, 2, 3, 4, cost], rows: 2, columns: 3)
        }
    }

    @Test func saysWhenForbiddenPairsLeaveNoPairing() {
        // Both rows may only take column 0.
        #expect(throws: AssignmentError.infeasible(rows: 2, columns: 2)) {
            try LinearAssignment.solve([1, .infinity, 2, .infinity], rows: 2, columns: 2)
        }
        #expect(throws: AssignmentError.infeasible(rows: 3, columns: 1)) {
            try LinearAssignment.solve([.infinity, .infinity, .infinity], rows: 3, columns: 1)
        }
    }

    /// The least sum over all ways to pair: the shorter side's members choose in turn.
    private func cheapest(_ costs: [Double], rows: Int, columns: Int) -> Double {
        func best(_ member: Int, _ taken: Set<Int>) -> Double {
            let (count, choices) = rows <= columns ? (rows, columns) : (columns, rows)
            guard member < count else { return 0 }
            return (0..<choices).filter { !taken.contains($0) }.map { choice in
                let cost = rows <= columns ? costs[member * columns + choice] : costs[choice * columns + member]
                return cost + best(member + 1, taken.union([choice]))
            }.min() ?? .infinity
        }
        return best(0, [])
    }
}
