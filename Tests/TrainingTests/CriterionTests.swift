// What the criterion does at the edges, and its gradient against finite differences.

import Boxes
import DeformDETR
import Foundation
import Matcher
import TestSupport
import Tensors
import Testing
import Training

@Suite struct CriterionTests {
    private static let box = CenterBox(centerX: 0.4, centerY: 0.5, width: 0.3, height: 0.2)

    private func output(
        images: Int = 1, queries: Int, classes: Int, layers: Int = 1, proposals: Int? = nil, seed: UInt64 = 1
    ) -> TrainingOutput {
        var generator = SeededGenerator(seed: seed)
        func predictions(_ queries: Int) -> Predictions {
            Predictions(
                logits: generator.tensor([images, queries, classes], in: -4...2),
                boxes: generator.tensor([images, queries, 4], in: 0.05...0.6))
        }
        return TrainingOutput(
            layers: (0..<layers).map { _ in predictions(queries) }, proposals: proposals.map { predictions($0) })
    }

    private func targets(_ count: Int, classes: Int, seed: UInt64 = 2) -> Targets {
        var generator = SeededGenerator(seed: seed)
        let boxes = generator.tensor([count, 4], in: 0.1...0.5).elements
        return Targets(
            classIDs: (0..<count).map { $0 % classes },
            boxes: (0..<count).map {
                CenterBox(
                    centerX: boxes[4 * $0], centerY: boxes[4 * $0 + 1], width: boxes[4 * $0 + 2],
                    height: boxes[4 * $0 + 3])
            })
    }

    /// One logit x of the true class and the box itself: only the focal loss is left, .25 (1 - p)^2 (-ln p) * 2.
    @Test(arguments: [-80, -20, -1, 0, 0.5, 3, 30] as [Float]) func focalLossOfOneLogit(logit: Float) throws {
        let box = Self.box
        let output = TrainingOutput(
            layers: [
                Predictions(
                    logits: Tensor([1, 1, 1], [logit]),
                    boxes: Tensor([1, 1, 4], [box.centerX, box.centerY, box.width, box.height]))
            ], proposals: nil)
        let loss = try Criterion.published(output, targets: [Targets(classIDs: [0], boxes: [box])])
        let x = Double(logit)
        let wrong = 1 / (1 + exp(x))
        let expected = 2 * 0.25 * wrong * wrong * (max(-x, 0) + log1p(exp(-abs(x))))
        // Two units in the last place of each of the kernel's float32 factors.
        #expect(abs(loss.total - expected) <= 1e-6 * expected)
        #expect(loss.terms[0].distance == 0 && abs(loss.terms[0].overlap) < 1e-12)
        #expect(loss.classError == 0 && loss.cardinalityError == (logit > 0 ? 0 : 1))
    }

    @Test func anyFiniteLogitHasFiniteLossAndGradient() throws {
        let largest = Float.greatestFiniteMagnitude
        let logits: [Float] = [
            largest, -largest, 1e30, -1e30, 88, -88, 87.4, -87.4, 104, -104, .leastNonzeroMagnitude, -0.0,
        ]
        for classID in logits.indices {
            let output = TrainingOutput(
                layers: [
                    Predictions(
                        logits: Tensor([1, 1, logits.count], logits), boxes: Tensor([1, 1, 4], repeating: 0.5))
                ], proposals: nil)
            let loss = try Criterion.published(output, targets: [Targets(classIDs: [classID], boxes: [Self.box])])
            #expect(loss.total.isFinite)
            #expect(loss.gradient.layers[0].logits.elements.allSatisfy { $0.isFinite })
        }
    }

    /// Central differences of the loss itself, away from its corners. Logits and boxes are float32, so the step is large and the
    /// tolerance with it: 1e-3 of the largest.
    @Test func gradientIsTheSlopeOfTheTotal() throws {
        let output = output(images: 2, queries: 5, classes: 3, layers: 2, proposals: 9, seed: 12)
        let targets = [targets(2, classes: 3), targets(3, classes: 3, seed: 3)]
        let gradient = try Criterion.published(output, targets: targets).gradient
        func total(_ output: TrainingOutput) -> Double {
            (try? Criterion.published(output, targets: targets).total) ?? .nan
        }
        func check(_ found: Tensor, _ change: (inout TrainingOutput, Tensor) -> Void, at point: Tensor) {
            let slopes = finiteDifferences(at: point.elements.map(Double.init), step: 5e-4) { point in
                var moved = output
                change(&moved, Tensor(found.shape, point.map { Float($0) }))
                return total(moved)
            }
            #expect(relativeError(found, Tensor(found.shape, slopes.map { Float($0) })) < 1e-3)
        }
        for layer in 0..<2 {
            check(gradient.layers[layer].logits, { $0.layers[layer].logits = $1 }, at: output.layers[layer].logits)
            check(gradient.layers[layer].boxes, { $0.layers[layer].boxes = $1 }, at: output.layers[layer].boxes)
        }
        let (proposals, slopes) = (try #require(output.proposals), try #require(gradient.proposals))
        check(slopes.logits, { $0.proposals?.logits = $1 }, at: proposals.logits)
        check(slopes.boxes, { $0.proposals?.boxes = $1 }, at: proposals.boxes)
    }

    @Test func anyNumberOfThreadsGivesTheSameBits() throws {
        let output = output(images: 3, queries: 40, classes: 37, layers: 3, proposals: 777)
        let targets = [targets(4, classes: 37), targets(0, classes: 37), targets(9, classes: 37, seed: 5)]
        let single = try Parallel.withThreadCount(1) { try Criterion.published(output, targets: targets) }
        for threads in [2, 3, 8] {
            let loss = try Parallel.withThreadCount(threads) { try Criterion.published(output, targets: targets) }
            #expect(loss.total.bitPattern == single.total.bitPattern && loss.terms == single.terms)
            for (found, expected) in zip(loss.gradient.layers, single.gradient.layers) {
                #expect(found.logits.elements == expected.logits.elements)
                #expect(found.boxes.elements == expected.boxes.elements)
            }
            #expect(loss.gradient.proposals?.logits.elements == single.gradient.proposals?.logits.elements)
            #expect(loss.gradient.proposals?.boxes.elements == single.gradient.proposals?.boxes.elements)
        }
    }

    @Test func withoutObjectsOnlyClassesCount() throws {
        let loss = try Criterion.published(
            output(queries: 4, classes: 3, proposals: 6), targets: [Targets(classIDs: [], boxes: [])])
        #expect(loss.terms.allSatisfy { $0.classification > 0 && $0.distance == 0 && $0.overlap == 0 })
        #expect(loss.classError == nil)
        #expect(loss.gradient.layers[0].boxes.elements.allSatisfy { $0 == 0 })
        #expect(
            loss.namedTerms.map(\.name) == [
                "loss_ce", "loss_bbox", "loss_giou", "loss_ce_enc", "loss_bbox_enc", "loss_giou_enc",
            ])
    }

    @Test func refusesWhatIsNotFinite() throws {
        let targets = [targets(2, classes: 3)]
        for bad: Float in [.nan, .infinity, -.infinity] {
            var broken = output(queries: 4, classes: 3, layers: 2, proposals: 5)
            broken.layers[1].logits.withMutableElements { $0[7] = bad }
            #expect(throws: TrainingError.nonfiniteOutput(output: "logits of decoder layer 1", element: 7)) {
                try Criterion.published(broken, targets: targets)
            }
            broken = output(queries: 4, classes: 3, proposals: 5)
            broken.proposals?.boxes.withMutableElements { $0[3] = bad }
            #expect(throws: TrainingError.nonfiniteOutput(output: "boxes of proposals", element: 3)) {
                try Criterion.published(broken, targets: targets)
            }
        }
    }

    @Test func refusesImpossibleObjects() throws {
        let output = output(images: 2, queries: 4, classes: 3)
        let good = targets(1, classes: 3)
        #expect(throws: MatchingError.classOutOfRange(image: 1, object: 0, classID: 3, classes: 3)) {
            try Criterion.published(output, targets: [good, Targets(classIDs: [3], boxes: [Self.box])])
        }
        for change: WritableKeyPath<CenterBox, Float> in [\.width, \.height] {
            var box = Self.box
            box[keyPath: change] = -0.1
            #expect(throws: TrainingError.invalidTarget(image: 1, object: 0, box: box)) {
                try Criterion.published(output, targets: [good, Targets(classIDs: [0], boxes: [box])])
            }
        }
        var box = Self.box
        box.centerX = .infinity
        #expect(throws: TrainingError.invalidTarget(image: 0, object: 0, box: box)) {
            try Criterion.published(output, targets: [Targets(classIDs: [0], boxes: [box]), good])
        }
    }
}
