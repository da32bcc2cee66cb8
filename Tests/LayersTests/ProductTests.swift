import Layers
import TestSupport
import Tensors
import Testing

@Suite struct ProductTests {
    /// Products that threads share in parts are those in one piece, whichever side is cut, and with a last part that is shorter.
    @Test(
        arguments: [(700, 130, 90), (90, 130, 700), (256, 300, 101), (101, 4099, 256)] as [(Int, Int, Int)],
        [false, true])
    func cutUpIsTheSame(extents: (rows: Int, inner: Int, columns: Int), transposesLeft: Bool) {
        let (rows, inner, columns) = extents
        var random = SeededGenerator(seed: 6)
        let left = random.tensor(transposesLeft ? [inner, rows] : [rows, inner])
        let right = random.tensor([inner, columns])
        let start = random.tensor([rows, columns])
        for accumulates in [false, true] {
            let results = [(false, 1), (true, 1), (true, 2), (true, 3), (true, 7)].map { isCutUp, threads in
                Parallel.withThreadCount(threads) {
                    var result = start
                    Product.matrices(
                        rows: rows, inner: inner, columns: columns, transposingLeft: transposesLeft,
                        accumulates: accumulates, isCutUp: isCutUp
                    ).run(left: left, right: right, into: &result)
                    return result
                }
            }
            for result in results[1...] { #expect(relativeError(result, results[0]) < 1e-5) }
        }
    }
}
