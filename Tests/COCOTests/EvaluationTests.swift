// The evaluation against pycocotools 2.0.11 on 200 random datasets (tools/golden_coco_evaluation.py), and on what it refuses.

import COCO
import Foundation
import Tensors
import TestSupport
import Testing

@Suite struct EvaluationTests {
    private struct Golden: Decodable {
        struct Arrays: Decodable {
            let recall: [Double]
            let precision50: [Double]
            let precision75: [Double]
        }

        let overlapThresholds: [Double]
        let recallThresholds: [Double]
        let statistics: [[Double]]
        let arrays: [String: Arrays]
    }

    private let golden: Golden

    init() throws {
        golden = try JSONDecoder().decode(
            Golden.self, from: Data(contentsOf: URL(fileURLWithPath: Fixture.path("evaluation.json"))))
    }

    @Test func thresholdsAreNumpys() {
        #expect(BoxEvaluation.overlapThresholds == golden.overlapThresholds)
        #expect(BoxEvaluation.recallThresholds == golden.recallThresholds)
    }

    /// The means are summed in another order than numpy's, which moves their last digits.
    @Test func statisticsOf200RandomDatasets() {
        #expect(golden.statistics.count == 200)
        var worst = 0.0
        for (seed, expected) in golden.statistics.enumerated() {
            let random = RandomDataset(seed: UInt64(seed))
            let found = BoxEvaluation(of: random.results, against: random.dataset).statistics
            #expect(found.count == 12)
            let difference = zip(found, expected).map { abs($0 - $1) }.max() ?? .infinity
            #expect(difference < 1e-10, "dataset \(seed): \(found), expected \(expected)")
            worst = max(worst, difference)
        }
        #expect(worst < 1e-13)
    }

    /// Nothing is summed here, so nothing may differ.
    @Test func arraysAreEqual() throws {
        #expect(golden.arrays.count == 10)
        for (seed, expected) in golden.arrays {
            let random = RandomDataset(seed: try #require(UInt64(seed)))
            let evaluation = BoxEvaluation(of: random.results, against: random.dataset)
            #expect(evaluation.recall == expected.recall, "dataset \(seed)")
            let classes = evaluation.categories.count
            for (threshold, curve) in [(0, expected.precision50), (5, expected.precision75)] {
                // All areas, 100 detections: place 2 of the 4 x 3 settings.
                let found = (0..<101 * classes).map { evaluation.precision[(threshold * 101 * classes + $0) * 12 + 2] }
                #expect(found == curve, "dataset \(seed), threshold \(threshold)")
            }
        }
    }

    @Test func threadsChangeNothing() {
        let random = RandomDataset(seed: 7)
        let alone = Parallel.withThreadCount(1) { BoxEvaluation(of: random.results, against: random.dataset) }
        for threads in [2, 3, 16] {
            let together = Parallel.withThreadCount(threads) {
                BoxEvaluation(of: random.results, against: random.dataset)
            }
            #expect(together.precision == alone.precision)
            #expect(together.recall == alone.recall)
            #expect(together.categoryScores == alone.categoryScores)
        }
    }

    // MARK: Small cases

    private let truth = Dataset(
        images: [DatasetImage(id: 1), DatasetImage(id: 2)],
        annotations: [
            Annotation(id: 0, imageID: 1, categoryID: 3, box: SizedBox(x: 0, y: 0, width: 10, height: 10)),
            Annotation(id: 0, imageID: 2, categoryID: 3, box: SizedBox(x: 50, y: 50, width: 100, height: 100)),
        ], categories: [Category(id: 3, name: "cat"), Category(id: 1, name: "ant")])

    private func results(_ scores: [Double]) -> [DetectionResult] {
        zip(truth.annotations, scores).map {
            DetectionResult(imageID: $0.imageID, categoryID: $0.categoryID, box: $0.box, score: $1)
        }
    }

    /// Both annotations have the id 0, which pycocotools takes for "not found".
    @Test func perfectDetections() {
        let evaluation = BoxEvaluation(of: results([0.5, -3]), against: truth)
        // Precision is divided by the count plus 2e-16, here and there.
        for (found, expected) in zip(evaluation.statistics, [1.0, 1, 1, 1, -1, 1, 1, 1, 1, 1, -1, 1]) {
            #expect(abs(found - expected) < 1e-15)
        }
        let scores = evaluation.categoryScores
        #expect(scores.map(\.category.name) == ["ant", "cat"])
        #expect(scores.map { $0.averagePrecision.rounded() } == [-1, 1])
        #expect(scores.map(\.averageRecall) == [-1, 1])
        #expect(scores.map(\.objectCount) == [0, 2])
    }

    /// `loadRes([])` ends in an IndexError.
    @Test func noDetections() {
        #expect(BoxEvaluation(of: [], against: truth).statistics == [0, 0, 0, 0, -1, 0, 0, 0, 0, 0, -1, 0])
    }

    @Test func nothingAtAll() {
        let evaluation = BoxEvaluation(of: [], against: Dataset())
        #expect(evaluation.statistics == Array(repeating: -1, count: 12))
        #expect(evaluation.categoryScores.isEmpty)
        #expect(evaluation.precision.isEmpty)
    }

    @Test func foreignResultsDoNotCount() {
        let own = results([0.5, 0.25])
        let foreign = own.map { DetectionResult(imageID: $0.imageID, categoryID: 4, box: $0.box, score: 1) }
        let elsewhere = own.map { DetectionResult(imageID: 9, categoryID: 3, box: $0.box, score: 1) }
        let evaluation = BoxEvaluation(of: foreign + own + elsewhere, against: truth)
        #expect(abs(evaluation.statistics[0] - 1) < 1e-15)
    }

    /// The numbers after a class's best hundred in an image are not looked at.
    @Test func theHundredAndFirstDetectionDoesNotCount() {
        let wrong = DetectionResult(
            imageID: 1, categoryID: 3, box: SizedBox(x: 500, y: 0, width: 5, height: 5), score: 0.9)
        let right = results([0.5])
        let counted = BoxEvaluation(of: Array(repeating: wrong, count: 99) + right, against: truth)
        let late = BoxEvaluation(of: Array(repeating: wrong, count: 100) + right, against: truth)
        #expect(counted.statistics[8] == 0.5)
        #expect(late.statistics[8] == 0)
    }

    /// Products of such sides are 0 or beyond Double's range; the numbers stay numbers.
    @Test func extremeBoxes() {
        for side in [Double.leastNonzeroMagnitude, 1e-170, 1e12, 1e300] {
            let box = SizedBox(x: 0, y: 0, width: side, height: side)
            let dataset = Dataset(
                images: [DatasetImage(id: 0)],
                annotations: [Annotation(id: 1, imageID: 0, categoryID: 0, box: box, area: 100)],
                categories: [Category(id: 0, name: "")])
            let result = DetectionResult(imageID: 0, categoryID: 0, box: box, score: 1)
            let evaluation = BoxEvaluation(of: [result], against: dataset)
            #expect(evaluation.statistics.allSatisfy { -1...1 ~= $0 }, "side \(side)")
        }
    }

    @Test func summaryIsPycocotools() {
        let lines = BoxEvaluation(of: results([0.5]), against: truth).summary
        // One object of two found: precision 1 up to a recall of 0.5, which is 51 of 101 recalls.
        #expect(
            lines == """
                 Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = 0.505
                 Average Precision  (AP) @[ IoU=0.50      | area=   all | maxDets=100 ] = 0.505
                 Average Precision  (AP) @[ IoU=0.75      | area=   all | maxDets=100 ] = 0.505
                 Average Precision  (AP) @[ IoU=0.50:0.95 | area= small | maxDets=100 ] = 1.000
                 Average Precision  (AP) @[ IoU=0.50:0.95 | area=medium | maxDets=100 ] = -1.000
                 Average Precision  (AP) @[ IoU=0.50:0.95 | area= large | maxDets=100 ] = 0.000
                 Average Recall     (AR) @[ IoU=0.50:0.95 | area=   all | maxDets=  1 ] = 0.500
                 Average Recall     (AR) @[ IoU=0.50:0.95 | area=   all | maxDets= 10 ] = 0.500
                 Average Recall     (AR) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = 0.500
                 Average Recall     (AR) @[ IoU=0.50:0.95 | area= small | maxDets=100 ] = 1.000
                 Average Recall     (AR) @[ IoU=0.50:0.95 | area=medium | maxDets=100 ] = -1.000
                 Average Recall     (AR) @[ IoU=0.50:0.95 | area= large | maxDets=100 ] = 0.000

                """)
    }
}
