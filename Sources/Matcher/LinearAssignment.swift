// The linear assignment problem on a rectangle: give each row a column of its own at the least total cost.
// Source: D. F. Crouse, "On implementing 2D rectangular assignment algorithms", IEEE Transactions on Aerospace and Electronic
// Systems 52(4), 2016, in the form of scipy/optimize/rectangular_lsap.cpp (scipy 1.17), whose ties it breaks in the same way.

/// A pairing of rows with columns, each at most once: `columns[i]` belongs to `rows[i]`.
public struct Assignment: Sendable, Hashable {
    /// Ascending.
    public let rows: [Int]
    public let columns: [Int]

    public init(rows: [Int], columns: [Int]) {
        precondition(rows.count == columns.count, "\(rows.count) rows for \(columns.count) columns")
        self.rows = rows
        self.columns = columns
    }

    /// The number of pairs.
    public var count: Int { rows.count }
}

/// Solves linear assignment problems by shortest augmenting paths (Jonker and Volgenant's method).
public enum LinearAssignment {
    /// The pairing of `min(rows, columns)` pairs with the least sum of costs.
    ///
    /// Equal inputs give equal pairings: ties break in the order of the indices. A rectangle without rows or without
    /// columns has the empty pairing. Complexity: O(k² · n), with k the shorter side and n the longer.
    ///
    /// - Parameter costs: `[rows, columns]`, row by row. `+infinity` forbids a pair.
    /// - Precondition: as many costs as the rectangle has cells.
    /// - Throws: ``AssignmentError``: a cost is NaN or -infinity, or the forbidden pairs leave no full pairing.
    public static func solve(_ costs: [Double], rows: Int, columns: Int) throws(AssignmentError) -> Assignment {
        precondition(rows >= 0 && columns >= 0, "a rectangle of \(rows) x \(columns)")
        precondition(costs.count == rows * columns, "\(costs.count) costs for \(rows) x \(columns)")
        if let index = costs.firstIndex(where: { !($0 > -.infinity) }) {
            throw .invalidCost(row: index / columns, column: index % columns, cost: costs[index])
        }
        guard rows > 0, columns > 0 else { return Assignment(rows: [], columns: []) }
        guard rows > columns else {
            guard let columnOfRow = solveWide(costs, rows: rows, columns: columns) else {
                throw .infeasible(rows: rows, columns: columns)
            }
            return Assignment(rows: Array(0..<rows), columns: columnOfRow)
        }
        // The search goes from each row of a wide rectangle, so a tall one is laid on its side.
        var transposed = [Double](repeating: 0, count: costs.count)
        for row in 0..<rows {
            for column in 0..<columns { transposed[column * rows + row] = costs[row * columns + column] }
        }
        guard let rowOfColumn = solveWide(transposed, rows: columns, columns: rows) else {
            throw .infeasible(rows: rows, columns: columns)
        }
        var columnOfRow = [Int](repeating: -1, count: rows)
        for (column, row) in rowOfColumn.enumerated() { columnOfRow[row] = column }
        let paired = columnOfRow.indices.filter { columnOfRow[$0] >= 0 }
        return Assignment(rows: paired, columns: paired.map { columnOfRow[$0] })
    }

    /// The column of each row, for no more rows than columns; nil if forbidden pairs leave no full pairing.
    private static func solveWide(_ costs: [Double], rows: Int, columns: Int) -> [Int]? {
        var search = PathSearch(rows: rows, columns: columns)
        for row in 0..<rows {
            guard search.augment(from: row, costs) else { return nil }
        }
        return search.columnOfRow
    }
}

/// The state of the method: a pairing of the rows so far, and dual values that prove it the cheapest.
private struct PathSearch {
    let columns: Int
    /// -1: not paired.
    var columnOfRow: [Int]
    var rowOfColumn: [Int]
    private var rowDuals: [Double]
    private var columnDuals: [Double]

    // One search's working memory, kept for the next.
    private var shortest: [Double]
    private var previousRow: [Int]
    private var unvisited: [Int]
    private var visitedRows: [Int] = []
    private var visitedColumns: [Int] = []

    init(rows: Int, columns: Int) {
        self.columns = columns
        columnOfRow = Array(repeating: -1, count: rows)
        rowOfColumn = Array(repeating: -1, count: columns)
        rowDuals = Array(repeating: 0, count: rows)
        columnDuals = Array(repeating: 0, count: columns)
        shortest = Array(repeating: 0, count: columns)
        previousRow = Array(repeating: -1, count: columns)
        unvisited = Array(repeating: 0, count: columns)
    }

    /// Pairs `start` too, moving earlier rows along the cheapest path to a free column.
    ///
    /// - Returns: false if every path to a free column is infinitely long.
    mutating func augment(from start: Int, _ costs: [Double]) -> Bool {
        guard let (sink, length) = shortestPath(from: start, costs) else { return false }

        rowDuals[start] += length
        for row in visitedRows where row != start { rowDuals[row] += length - shortest[columnOfRow[row]] }
        for column in visitedColumns { columnDuals[column] -= length - shortest[column] }

        var column = sink
        while true {
            let row = previousRow[column]
            rowOfColumn[column] = row
            (columnOfRow[row], column) = (column, columnOfRow[row])
            if row == start { return true }
        }
    }

    /// Dijkstra's search over reduced costs: the free column that ends the shortest path, and the path's length.
    private mutating func shortestPath(from start: Int, _ costs: [Double]) -> (sink: Int, length: Double)? {
        visitedRows.removeAll(keepingCapacity: true)
        visitedColumns.removeAll(keepingCapacity: true)
        for column in 0..<columns {
            shortest[column] = .infinity
            // Backwards, so that equal costs everywhere give the diagonal.
            unvisited[column] = columns - 1 - column
        }
        var remaining = columns
        var length = 0.0
        var row = start
        while true {
            visitedRows.append(row)
            let offset = length - rowDuals[row]
            let firstCost = row * columns
            var lowest = Double.infinity
            var best = -1
            for index in 0..<remaining {
                let column = unvisited[index]
                let reduced = offset + costs[firstCost + column] - columnDuals[column]
                var distance = shortest[column]
                if reduced < distance {
                    distance = reduced
                    shortest[column] = reduced
                    previousRow[column] = row
                }
                // Of equal columns a free one ends the search sooner.
                if distance < lowest || (distance == lowest && rowOfColumn[column] == -1) {
                    lowest = distance
                    best = index
                }
            }
            guard lowest < .infinity else { return nil }
            length = lowest
            let column = unvisited[best]
            visitedColumns.append(column)
            guard rowOfColumn[column] != -1 else { return (column, length) }
            row = rowOfColumn[column]
            remaining -= 1
            unvisited[best] = unvisited[remaining]
        }
    }
}
