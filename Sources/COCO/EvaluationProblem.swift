// The evaluation's work: results and objects sorted into cells (one class in one image), cells matched, classes accumulated.

import Synchronization
import Tensors

/// Results and truth in the order in which they are judged.
struct EvaluationProblem: Sendable {
    /// By id, each once.
    let categories: [Category]
    /// By category, then image id.
    private var cells: [Cell] = []
    /// Each category's cells.
    private var cellRanges: [Range<Int>] = []
    private var detections: [SortedDetection] = []
    private var objects: [SortedObject] = []

    /// Where a result or an object belongs.
    private struct Place {
        /// The category's place among the sorted ones.
        let category: Int
        /// The image's id.
        let image: Int
        /// In the list that it comes from.
        let index: Int

        func isSameCell(as other: Place) -> Bool { category == other.category && image == other.image }

        func isBefore(_ other: Place) -> Bool {
            category == other.category ? image < other.image : category < other.category
        }
    }

    init(results: [DetectionResult], dataset: Dataset) {
        let named = Dictionary(dataset.categories.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        let categories = named.values.sorted { $0.id < $1.id }
        let categoryPlaces = Dictionary(uniqueKeysWithValues: categories.enumerated().map { ($1.id, $0) })
        let images = Set(dataset.images.map(\.id))
        func place(_ category: Int, _ image: Int, _ index: Int) -> Place? {
            guard let category = categoryPlaces[category], images.contains(image) else { return nil }
            return Place(category: category, image: image, index: index)
        }
        self.categories = categories
        let placedResults = results.enumerated().compactMap { place($1.categoryID, $1.imageID, $0) }.sorted {
            left, right in
            guard left.isSameCell(as: right) else { return left.isBefore(right) }
            let (leftScore, rightScore) = (results[left.index].score, results[right.index].score)
            return leftScore == rightScore ? left.index < right.index : leftScore > rightScore
        }
        let placedObjects = dataset.annotations.enumerated().compactMap { place($1.categoryID, $1.imageID, $0) }
            .sorted { $0.isSameCell(as: $1) ? $0.index < $1.index : $0.isBefore($1) }
        fillCells(placedResults, placedObjects, results, dataset.annotations)
    }

    /// Goes through both sorted lists at once.
    private mutating func fillCells(
        _ placedResults: [Place], _ placedObjects: [Place], _ results: [DetectionResult], _ annotations: [Annotation]
    ) {
        detections.reserveCapacity(placedResults.count)
        objects.reserveCapacity(placedObjects.count)
        let most = BoxEvaluation.detectionLimits.max() ?? 0
        var (result, object) = (0, 0)
        for category in categories.indices {
            let firstCell = cells.count
            while true {
                let nextResult = result < placedResults.count ? placedResults[result] : nil
                let nextObject = object < placedObjects.count ? placedObjects[object] : nil
                let next =
                    if let nextResult, let nextObject {
                        nextObject.isBefore(nextResult) ? nextObject : nextResult
                    } else {
                        nextResult ?? nextObject
                    }
                guard let next, next.category == category else { break }
                let (firstDetection, firstObject) = (detections.count, objects.count)
                let firstResult = result
                while result < placedResults.count, placedResults[result].isSameCell(as: next) {
                    let (own, rank) = (results[placedResults[result].index], result - firstResult)
                    if rank < most { detections.append(SortedDetection(box: own.box, score: own.score, rank: rank)) }
                    result += 1
                }
                while object < placedObjects.count, placedObjects[object].isSameCell(as: next) {
                    let own = annotations[placedObjects[object].index]
                    objects.append(SortedObject(box: own.box, area: own.area, isCrowd: own.isCrowd))
                    object += 1
                }
                cells.append(
                    Cell(detections: firstDetection..<detections.count, objects: firstObject..<objects.count))
            }
            cellRanges.append(firstCell..<cells.count)
        }
    }

    /// The verdicts on all detections: for each detection, one for each range of areas.
    func verdicts() -> [Verdict] {
        inParallel(cells.count) { range in
            var matcher = CellMatcher()
            var verdicts: [Verdict] = []
            for cell in cells[range] {
                matcher.match(detections[cell.detections], objects[cell.objects], into: &verdicts)
            }
            return verdicts
        }
    }

    /// One category's precision and recall.
    func curves(ofCategory category: Int, _ verdicts: [Verdict]) -> CategoryCurves {
        let own = cells[cellRanges[category]]
        let ownDetections = (own.first?.detections.lowerBound ?? 0)..<(own.last?.detections.upperBound ?? 0)
        let ownObjects = objects[(own.first?.objects.lowerBound ?? 0)..<(own.last?.objects.upperBound ?? 0)]
        // Of equal scores, the earlier image's detection comes first.
        let best = ownDetections.sorted { left, right in
            let (leftScore, rightScore) = (detections[left].score, detections[right].score)
            return leftScore == rightScore ? left < right : leftScore > rightScore
        }
        var curves = CategoryCurves()
        let ranges = BoxEvaluation.AreaRange.allCases
        for (rangeIndex, range) in ranges.enumerated() {
            let objectCount = ownObjects.count { !$0.isIgnored(in: range.squarePixels) }
            if range == .all { curves.objectCount = objectCount }
            // Precision and recall stay -1.
            guard objectCount > 0 else { continue }
            for (limitIndex, limit) in BoxEvaluation.detectionLimits.enumerated() {
                var tally = Tally()
                for index in best where detections[index].rank < limit {
                    tally.count(verdicts[index * ranges.count + rangeIndex])
                }
                let setting = rangeIndex * BoxEvaluation.detectionLimits.count + limitIndex
                curves.fill(setting: setting, from: tally, objectCount: objectCount)
            }
        }
        return curves
    }
}

/// Calls `body` with parts of `0..<count` on all threads, and joins what it returns in the parts' order.
func inParallel<Element: Sendable>(_ count: Int, _ body: (Range<Int>) -> [Element]) -> [Element] {
    let parts = Mutex<[(start: Int, elements: [Element])]>([])
    Parallel.forRanges(count) { range in
        let elements = body(range)
        parts.withLock { $0.append((range.lowerBound, elements)) }
    }
    return parts.withLock { $0.sorted { $0.start < $1.start }.flatMap(\.elements) }
}
