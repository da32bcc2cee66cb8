import Tensors

/// Many arrays cut into pieces of at most one size, so that one parallel loop serves all parameters of a model: waking the threads
/// once for each of several hundred tensors costs more than the work. The cuts do not depend on the number of threads.
struct ArrayPieces {
    struct Piece {
        let array: Int
        let range: Range<Int>
    }

    let pieces: [Piece]

    private static let size = 1 << 15

    /// - Parameter counts: the elements of each array.
    init(counts: [Int]) {
        pieces = counts.enumerated().flatMap { array, count in
            stride(from: 0, to: count, by: Self.size).map {
                Piece(array: array, range: $0..<min($0 + Self.size, count))
            }
        }
    }

    /// Calls `body` once with the number of each piece and the piece, on several threads.
    func forEach(_ body: (Int, Piece) -> Void) {
        Parallel.forRanges(pieces.count) { range in
            for index in range { body(index, pieces[index]) }
        }
    }
}
