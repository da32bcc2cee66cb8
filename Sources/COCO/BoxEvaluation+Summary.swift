// The numbers that people compare: the twelve of COCO, and a few for each class. Source: `summarize` of pycocotools' `COCOeval`.

import Foundation

extension BoxEvaluation {
    /// What one of the twelve numbers is a mean over.
    private struct Statistic {
        var isPrecision = true
        /// Nil for all.
        var overlapThreshold: Double?
        var area = AreaRange.all
        var detectionLimit = 100
    }

    private static let summarized = [
        Statistic(), Statistic(overlapThreshold: 0.5), Statistic(overlapThreshold: 0.75), Statistic(area: .small),
        Statistic(area: .medium), Statistic(area: .large), Statistic(isPrecision: false, detectionLimit: 1),
        Statistic(isPrecision: false, detectionLimit: 10), Statistic(isPrecision: false),
        Statistic(isPrecision: false, area: .small), Statistic(isPrecision: false, area: .medium),
        Statistic(isPrecision: false, area: .large),
    ]

    /// COCO's twelve numbers: AP, AP50, AP75, AP of small, medium and large objects; AR with 1, 10 and 100 detections, AR of
    /// small, medium and large objects. 0...1, or -1 where there are no objects.
    public var statistics: [Double] { Self.summarized.map { mean($0, classes: 0..<categories.count) } }

    /// The twelve lines that pycocotools prints.
    public var summary: String {
        zip(Self.summarized, statistics).map { statistic, value in
            let name = statistic.isPrecision ? "Average Precision  (AP)" : "Average Recall     (AR)"
            let overlap = statistic.overlapThreshold.map { String(format: "%.2f     ", $0) } ?? "0.50:0.95"
            let area = String(repeating: " ", count: 6 - statistic.area.rawValue.count) + statistic.area.rawValue
            let limit = String(format: "%3d", statistic.detectionLimit)
            return " \(name) @[ IoU=\(overlap) | area=\(area) | maxDets=\(limit) ] = \(String(format: "%.3f", value))\n"
        }.joined()
    }

    /// How well one class is found. Each number is 0...1, or -1 for a class without objects.
    public struct CategoryScore: Sendable, Hashable {
        public let category: Category
        /// Objects that count, of any size; crowds do not.
        public let objectCount: Int
        /// The mean over all IoU thresholds.
        public let averagePrecision: Double
        public let averagePrecision50: Double
        public let averagePrecision75: Double
        /// With up to 100 detections of the class in an image, the mean over all IoU thresholds.
        public let averageRecall: Double
    }

    /// The scores of each class, by category id.
    public var categoryScores: [CategoryScore] {
        categories.indices.map { index in
            let own = index..<index + 1
            return CategoryScore(
                category: categories[index], objectCount: curves[index].objectCount,
                averagePrecision: mean(Self.summarized[0], classes: own),
                averagePrecision50: mean(Self.summarized[1], classes: own),
                averagePrecision75: mean(Self.summarized[2], classes: own),
                averageRecall: mean(Self.summarized[8], classes: own))
        }
    }

    /// The mean of what exists; -1 when nothing does.
    private func mean(_ statistic: Statistic, classes: Range<Int>) -> Double {
        let recalls = statistic.isPrecision ? Self.recallThresholds.count : 1
        let areas = AreaRange.allCases
        guard let area = areas.firstIndex(of: statistic.area),
            let limit = Self.detectionLimits.firstIndex(of: statistic.detectionLimit)
        else { preconditionFailure("\(statistic) is no setting of the evaluation") }
        let setting = area * Self.detectionLimits.count + limit
        var (sum, count) = (0.0, 0)
        for own in curves[classes] {
            let values = statistic.isPrecision ? own.precision : own.recall
            for (index, threshold) in Self.overlapThresholds.enumerated()
            where !values.isEmpty && statistic.overlapThreshold ?? threshold == threshold {
                for recall in index * recalls..<(index + 1) * recalls {
                    let value = values[recall * Self.settingCount + setting]
                    if value > -1 { (sum, count) = (sum + value, count + 1) }
                }
            }
        }
        return count > 0 ? sum / Double(count) : -1
    }
}
