// COCO's evaluation of boxes: average precision and recall over classes, IoU thresholds, sizes of objects and numbers of
// detections. Source: `pycocotools/cocoeval.py` 2.0.11 (cocodataset/cocoapi), whose numbers it gives, with one exception: there,
// an annotation whose id is 0 is never found; here ids mean nothing.
//
// T IoU thresholds, R recall thresholds, K classes, A ranges of areas, M limits on detections.

/// How well detections agree with a dataset's boxes.
///
/// ```swift
/// let dataset = try Dataset(contentsOf: "val.json")
/// let evaluation = BoxEvaluation(of: try dataset.results(contentsOf: "results.json"), against: dataset)
/// print(evaluation.summary)
/// ```
public struct BoxEvaluation: Sendable {
    /// The T = 10 IoU thresholds: 0.5, 0.55, ..., 0.95.
    public static let overlapThresholds = evenly(from: 0.5, to: 0.95, count: 10)
    /// The R = 101 recall thresholds: 0, 0.01, ..., 1.
    public static let recallThresholds = evenly(from: 0, to: 1, count: 101)
    /// The M = 3 limits on the detections of one class in one image, of which the best count.
    public static let detectionLimits = [1, 10, 100]

    /// The A = 4 ranges of objects' areas, in their order in the arrays.
    public enum AreaRange: String, CaseIterable, Sendable {
        case all, small, medium, large

        /// From ... to, both included; an object of 32 x 32 pixels is small and medium.
        public var squarePixels: ClosedRange<Double> {
            switch self {
            case .all: 0...1e10
            case .small: 0...1024
            case .medium: 1024...9216
            case .large: 9216...1e10
            }
        }
    }

    /// The K classes that were evaluated: the dataset's, by id.
    public let categories: [Category]
    /// By category.
    let curves: [CategoryCurves]

    /// Judges `results`, on all threads of the calling thread's pool; their number changes nothing in the result.
    ///
    /// - Parameters:
    ///   - results: any order; of equal scores, the one whose image has the lower id is better, then the earlier one. Those of
    ///     images or categories that are not in the dataset do not count.
    ///   - dataset: annotations of images or categories that it does not list do not count. Of images or categories with the
    ///     same id, the last one counts.
    /// - Precondition: no NaN.
    /// - Complexity: O(n log n) in the number of results, plus the pairs of results and objects that share image and class.
    public init(of results: [DetectionResult], against dataset: Dataset) {
        let problem = EvaluationProblem(results: results, dataset: dataset)
        let verdicts = problem.verdicts()
        curves = inParallel(problem.categories.count) { classes in
            classes.map { problem.curves(ofCategory: $0, verdicts) }
        }
        categories = problem.categories
    }

    /// `[T, R, K, A, M]`: the largest precision at the recall or a higher one; -1 for a class without objects in the range.
    ///
    /// - Complexity: O(K); the array is made anew each time.
    public var precision: [Double] {
        interleaved(\.precision, groups: Self.overlapThresholds.count * Self.recallThresholds.count)
    }

    /// `[T, K, A, M]`: the part of the objects that was found; -1 for a class without objects in the range.
    ///
    /// - Complexity: O(K); the array is made anew each time.
    public var recall: [Double] { interleaved(\.recall, groups: Self.overlapThresholds.count) }

    /// The classes' arrays `[groups, A, M]` as one array `[groups, K, A, M]`.
    private func interleaved(_ values: KeyPath<CategoryCurves, [Double]>, groups: Int) -> [Double] {
        let absent = [Double](repeating: -1, count: Self.settingCount)
        let arrays = curves.map { $0[keyPath: values] }
        var result: [Double] = []
        result.reserveCapacity(groups * arrays.count * Self.settingCount)
        for group in 0..<groups {
            for array in arrays {
                let own = group * Self.settingCount..<(group + 1) * Self.settingCount
                result += array.isEmpty ? absent[...] : array[own]
            }
        }
        return result
    }

    /// Numbers with equal steps, both ends included, rounded as numpy's `linspace` rounds them.
    private static func evenly(from start: Double, to end: Double, count: Int) -> [Double] {
        let step = (end - start) / Double(count - 1)
        return (0..<count - 1).map { Double($0) * step + start } + [end]
    }

    /// A x M.
    static let settingCount = AreaRange.allCases.count * detectionLimits.count
}
