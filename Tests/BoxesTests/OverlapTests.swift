// Overlaps against values worked out by hand.

import Boxes
import Testing

@Suite struct OverlapTests {
    private let unit = CornerBox(xMin: 0, yMin: 0, xMax: 2, yMax: 2)

    /// Box, IoU with `unit`, generalised IoU with `unit`.
    private static let cases: [(CornerBox, Float, Float)] = [
        (CornerBox(xMin: 0, yMin: 0, xMax: 2, yMax: 2), 1, 1),
        // Common part 1, union 7, enclosing 9.
        (CornerBox(xMin: 1, yMin: 1, xMax: 3, yMax: 3), 1 / 7, 1 / 7 - 2 / 9),
        // Inside: a quarter.
        (CornerBox(xMin: 0.5, yMin: 0.5, xMax: 1.5, yMax: 1.5), 0.25, 0.25),
        // Side by side, touching.
        (CornerBox(xMin: 2, yMin: 0, xMax: 4, yMax: 2), 0, 0),
        // Apart: union 8, enclosing 12.
        (CornerBox(xMin: 4, yMin: 0, xMax: 6, yMax: 2), 0, -4 / 12),
        // Above and below, apart: union 5, enclosing 2 x 8.
        (CornerBox(xMin: 0, yMin: 7, xMax: 1, yMax: 8), 0, -11 / 16),
        // No area: a point inside, and a point outside (enclosing 9, union 4).
        (CornerBox(xMin: 1, yMin: 1, xMax: 1, yMax: 1), 0, 0),
        (CornerBox(xMin: 3, yMin: 3, xMax: 3, yMax: 3), 0, -5 / 9),
    ]

    @Test(arguments: cases.indices)
    func overlapsAreThoseWorkedOutByHand(index: Int) {
        let (box, overlap, generalized) = Self.cases[index]
        // A few roundings of numbers near 1.
        #expect(abs(unit.intersectionOverUnion(box) - overlap) < 1e-6)
        #expect(abs(unit.generalizedIntersectionOverUnion(box) - generalized) < 1e-6)
        #expect(box.intersectionOverUnion(unit) == unit.intersectionOverUnion(box))
        #expect(box.generalizedIntersectionOverUnion(unit) == unit.generalizedIntersectionOverUnion(box))
    }

    @Test func twoBoxesWithoutAreaDoNotOverlap() {
        let point = CornerBox(xMin: 1, yMin: 1, xMax: 1, yMax: 1)
        #expect(point.intersectionOverUnion(point) == 0)
        #expect(point.generalizedIntersectionOverUnion(point) == 0)
    }
}
