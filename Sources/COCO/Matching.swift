// Which detections find an object, image by image and class by class: `evaluateImg` of pycocotools' `COCOeval`.

/// What one detection counts for, in one range of areas at each of the IoU thresholds: bit t is for threshold t.
struct Verdict {
    /// It was matched with an object or a crowd.
    var matched: UInt16 = 0
    /// It counts neither as right nor as wrong.
    var ignored: UInt16 = 0
}

/// The detections and objects of one class in one image, which are matched with each other and no others.
struct Cell {
    /// In the sorted detections: best first, no more than are counted.
    let detections: Range<Int>
    /// In the sorted objects, in the file's order.
    let objects: Range<Int>
}

/// A detection in order of class, image and score.
struct SortedDetection {
    let box: SizedBox
    let score: Double
    /// Its place among the detections of its cell, from 0 for the best.
    let rank: Int
}

/// A true object in order of class and image.
struct SortedObject {
    let box: SizedBox
    let area: Double
    let isCrowd: Bool

    func isIgnored(in range: ClosedRange<Double>) -> Bool { isCrowd || !range.contains(area) }
}

/// Matches the cells of an evaluation, one after the other.
struct CellMatcher {
    private static let thresholds = BoxEvaluation.overlapThresholds
    private static let everyThreshold: UInt16 = 1 << UInt16(BoxEvaluation.overlapThresholds.count) - 1

    /// An object that a detection may be matched with.
    private struct Candidate {
        let object: Int
        let overlap: Double
    }

    /// Of the cell: objects that overlap a detection enough for the lowest threshold, in the objects' order, for one detection
    /// after the other.
    private var candidates: [Candidate] = []
    private var candidateEnds: [Int] = []
    /// By object: whether it does not count in a range of areas.
    private var isIgnored: [Bool] = []
    /// By object: the thresholds at which it has been found.
    private var found: [UInt16] = []

    /// Appends the verdicts on the cell's detections: for each detection, one for each range of areas.
    mutating func match(
        _ detections: ArraySlice<SortedDetection>, _ objects: ArraySlice<SortedObject>, into verdicts: inout [Verdict]
    ) {
        let ranges = BoxEvaluation.AreaRange.allCases
        findCandidates(detections, objects)
        let start = verdicts.count
        verdicts.append(contentsOf: repeatElement(Verdict(), count: detections.count * ranges.count))
        for (rangeIndex, range) in ranges.map(\.squarePixels).enumerated() {
            isIgnored.removeAll(keepingCapacity: true)
            for object in objects { isIgnored.append(object.isIgnored(in: range)) }
            found.removeAll(keepingCapacity: true)
            found.append(contentsOf: repeatElement(0, count: objects.count))
            var firstCandidate = 0
            for (index, detection) in detections.enumerated() {
                let own = firstCandidate..<candidateEnds[index]
                firstCandidate = own.upperBound
                var verdict = Verdict()
                if !own.isEmpty { match(own, objects, &verdict) }
                // An unmatched detection of another size is none of this range's business.
                if !range.contains(detection.box.area) { verdict.ignored |= ~verdict.matched & Self.everyThreshold }
                verdicts[start + index * ranges.count + rangeIndex] = verdict
            }
        }
    }

    private mutating func findCandidates(
        _ detections: ArraySlice<SortedDetection>, _ objects: ArraySlice<SortedObject>
    ) {
        candidates.removeAll(keepingCapacity: true)
        candidateEnds.removeAll(keepingCapacity: true)
        for detection in detections {
            for (index, object) in objects.enumerated() {
                let overlap = detection.box.overlap(object.box, isCrowd: object.isCrowd)
                if overlap >= Self.thresholds[0] { candidates.append(Candidate(object: index, overlap: overlap)) }
            }
            candidateEnds.append(candidates.count)
        }
    }

    /// Matches one detection at every threshold.
    private mutating func match(_ own: Range<Int>, _ objects: ArraySlice<SortedObject>, _ verdict: inout Verdict) {
        for (index, threshold) in Self.thresholds.enumerated() {
            let bit: UInt16 = 1 << UInt16(index)
            // Objects that count come first; only a detection that finds none of them is matched with one that does not.
            let counted = best(own, objects, threshold, bit, ignored: false)
            guard let match = counted ?? best(own, objects, threshold, bit, ignored: true) else { continue }
            found[match] |= bit
            verdict.matched |= bit
            if counted == nil { verdict.ignored |= bit }
        }
    }

    /// The candidate with the largest overlap that is still free, the last one of equals. A crowd is always free.
    private func best(
        _ own: Range<Int>, _ objects: ArraySlice<SortedObject>, _ threshold: Double, _ bit: UInt16, ignored: Bool
    ) -> Int? {
        var best: Int?
        var largest = threshold
        for candidate in candidates[own] where isIgnored[candidate.object] == ignored {
            let isTaken = found[candidate.object] & bit != 0 && !objects[objects.startIndex + candidate.object].isCrowd
            if isTaken || candidate.overlap < largest { continue }
            largest = candidate.overlap
            best = candidate.object
        }
        return best
    }
}
