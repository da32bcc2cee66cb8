// From verdicts on detections, best first, to precision at every recall: `accumulate` of pycocotools' `COCOeval`.

/// What has been counted of a category's detections, best first, at each IoU threshold.
struct Tally {
    private static let thresholdCount = BoxEvaluation.overlapThresholds.count

    /// For each threshold, a number for each object found so far: the wrong detections before it.
    private(set) var wrongBeforeFind = [[Int32]](repeating: [], count: thresholdCount)
    /// Wrong detections so far.
    private var wrong = [Int32](repeating: 0, count: thresholdCount)

    mutating func count(_ verdict: Verdict) {
        for threshold in 0..<Self.thresholdCount {
            let bit: UInt16 = 1 << UInt16(threshold)
            if verdict.ignored & bit != 0 { continue }
            if verdict.matched & bit != 0 {
                wrongBeforeFind[threshold].append(wrong[threshold])
            } else {
                wrong[threshold] += 1
            }
        }
    }
}

/// One category's precision `[T, R, A, M]` and recall `[T, A, M]`, -1 for a range of areas without objects. Both are empty for a
/// category without any.
struct CategoryCurves: Sendable {
    private(set) var precision: [Double] = []
    private(set) var recall: [Double] = []
    /// Objects that count, of any size.
    var objectCount = 0

    /// - Parameters:
    ///   - setting: the place in A x M.
    ///   - objectCount: of the range of areas; above 0.
    mutating func fill(setting: Int, from tally: Tally, objectCount: Int) {
        let (thresholdCount, recallCount) = (tally.wrongBeforeFind.count, BoxEvaluation.recallThresholds.count)
        if recall.isEmpty {
            recall = Array(repeating: -1, count: thresholdCount * BoxEvaluation.settingCount)
            precision = Array(repeating: -1, count: thresholdCount * recallCount * BoxEvaluation.settingCount)
        }
        for (threshold, wrong) in tally.wrongBeforeFind.enumerated() {
            recall[threshold * BoxEvaluation.settingCount + setting] = Double(wrong.count) / Double(objectCount)
            // Precision only falls between two finds, so the largest one at a recall or beyond is that of a find.
            var best = wrong.enumerated().map { index, wrong in
                Double(index + 1) / (Double(wrong) + Double(index + 1) + Double.ulpOfOne)
            }
            for index in best.indices.dropLast().reversed() { best[index] = max(best[index], best[index + 1]) }
            var find = 0
            for (place, wanted) in BoxEvaluation.recallThresholds.enumerated() {
                while find < best.count, Double(find + 1) / Double(objectCount) < wanted { find += 1 }
                precision[(threshold * recallCount + place) * BoxEvaluation.settingCount + setting] =
                    find < best.count ? best[find] : 0
            }
        }
    }
}
