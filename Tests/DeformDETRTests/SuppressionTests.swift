// Non-maximum suppression of a detector's boxes.

import Boxes
import DeformDETR
import Foundation
import Testing

@Suite struct SuppressionTests {
    private static let fixtures = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Tests/Fixtures").path

    private func detections(overlapLimit: Float, topK: Int = .max) throws -> [Detection] {
        let detector = try Detector(
            weights: "\(Self.fixtures)/model.safetensors",
            preprocessing: Preprocessing(shorterSide: 128, longestSide: 256),
            overlapLimit: overlapLimit)
        return try detector.detect(in: Image(contentsOf: "\(Self.fixtures)/table.jpg"), threshold: 0, topK: topK)
    }

    /// Against the definition: a detection stays unless a better one of its class, which stays itself, overlaps it too much.
    @Test(arguments: [0, 0.1, 0.5, 0.8, 0.99] as [Float])
    func theBetterOfTwoStays(_ limit: Float) throws {
        let all = try detections(overlapLimit: 1)
        let kept = try detections(overlapLimit: limit)
        var expected: [Detection] = []
        for candidate in all {
            let isCovered = expected.contains {
                $0.classID == candidate.classID && $0.box.intersectionOverUnion(candidate.box) > limit
            }
            if !isCovered { expected.append(candidate) }
        }
        #expect(kept == expected)
        if limit <= 0.5 { #expect(kept.count < all.count) }
    }

    /// What is suppressed uses up no places among the best.
    @Test func theBestAreCountedAfterwards() throws {
        let kept = try detections(overlapLimit: 0.3)
        #expect(try detections(overlapLimit: 0.3, topK: 7) == Array(kept.prefix(7)))
        #expect(try detections(overlapLimit: 0.3, topK: 0).isEmpty)
    }

    @Test func nothingIsSuppressedUnlessAskedFor() throws {
        let detector = try Detector(weights: "\(Self.fixtures)/model.safetensors")
        #expect(detector.overlapLimit == 1)
    }
}
