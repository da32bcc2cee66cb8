// Costs and matchings against the authors' formula as torch computes it (tools/golden_assignment.py).

import Boxes
import Matcher
import Tensors
import Testing

@Suite struct HungarianMatcherTests {
    private let golden: AssignmentGolden.Matching

    init() throws {
        golden = try AssignmentGolden.load().matching
    }

    private var targets: [MatchingTarget] {
        zip(golden.targetClasses, golden.targetBoxes).map { MatchingTarget(classID: $0, box: box($1)) }
    }

    private func box(_ values: [Float]) -> CenterBox {
        CenterBox(centerX: values[0], centerY: values[1], width: values[2], height: values[3])
    }

    @Test(arguments: ["published", "huggingFace"])
    func costsAreTheReferences(preset: String) throws {
        let cost: MatchingCost = preset == "published" ? .published : .huggingFace
        let expected = try #require(golden.costs[preset])
        let classes = try #require(golden.logits.first).count
        let found = golden.logits.flatMap(\.self).withUnsafeBufferPointer {
            cost.matrix(logits: $0, classes: classes, boxes: golden.boxes.map(box), targets: targets)
        }
        #expect(found.count == expected.count * targets.count)
        for (found, expected) in zip(found, expected.joined()) {
            // The reference works in float32, on costs up to about 15.
            #expect(abs(found - expected) < 1e-5)
        }
    }

    @Test func generalizedOverlapsAreTheReferences() {
        for (query, row) in golden.overlap.enumerated() {
            for (target, expected) in row.enumerated() {
                let found = CornerBox(box(golden.boxes[query]))
                    .generalizedIntersectionOverUnion(CornerBox(targets[target].box))
                #expect(abs(found - expected) < 1e-6)
            }
        }
    }

    /// Focal cost at logit 0: p = 1/2 gives (0.25 - 0.75) / 4 * ln 2.
    @Test func classCostAtEvenOdds() {
        #expect(abs(MatchingCost.published.classCost(logit: 0) + 0.125 * 0.693_147_180_56) < 1e-7)
    }

    @Test func classCostIsFiniteForAnyFiniteLogit() {
        for logit: Float in [-.greatestFiniteMagnitude, -200, 200, .greatestFiniteMagnitude, -.infinity, .infinity] {
            #expect(MatchingCost.published.classCost(logit: logit).isFinite)
        }
    }

    @Test func eachImageIsMatchedAlone() throws {
        let queries = golden.boxes.count
        let classes = try #require(golden.logits.first).count
        let logits = golden.logits.flatMap(\.self)
        let boxes = golden.boxes.flatMap(\.self)
        let matcher = HungarianMatcher()
        let found = try matcher(
            logits: Tensor([3, queries, classes], logits + logits + logits),
            boxes: Tensor([3, queries, 4], boxes + boxes + boxes), targets: [targets, [], Array(targets.reversed())])
        let expected = try LinearAssignment.solve(
            try #require(golden.costs["published"]).flatMap(\.self), rows: queries, columns: targets.count)
        #expect(found[0] == expected)
        #expect(found[1].count == 0)
        #expect(found[2].rows == expected.rows)
        #expect(found[2].columns == expected.columns.map { targets.count - 1 - $0 })
    }

    @Test func refusesWhatCannotBeMatched() {
        let object = MatchingTarget(classID: 2, box: CenterBox(centerX: 0.5, centerY: 0.5, width: 0.1, height: 0.1))
        let boxes = Tensor([1, 2, 4], repeating: 0.5)
        #expect(throws: MatchingError.classOutOfRange(image: 0, object: 0, classID: 2, classes: 2)) {
            try HungarianMatcher()(logits: Tensor([1, 2, 2]), boxes: boxes, targets: [[object]])
        }
        #expect(throws: AssignmentError.invalidCost(row: 0, column: 0, cost: .nan)) {
            try HungarianMatcher()(logits: Tensor([1, 2, 3], repeating: .nan), boxes: boxes, targets: [[object]])
        }
        #expect(throws: AssignmentError.invalidCost(row: 0, column: 0, cost: .nan)) {
            try HungarianMatcher()(
                logits: Tensor([1, 2, 3]), boxes: Tensor([1, 2, 4], repeating: .nan), targets: [[object]])
        }
    }
}
