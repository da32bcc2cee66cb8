// What a batch's predictions cost: the loss that training makes smaller. Axes: N images, Q queries, C classes, S locations.

import Boxes
import DeformDETR
import Matcher
import Tensors

/// The set loss of Deformable DETR: every true object is matched with one query, which shall have its class and box, and all
/// other queries shall have no class.
///
/// Each decoder layer is matched and judged by itself. In two-stage models the encoder's proposals are judged too, as if all
/// objects had class 0. A sum over objects is divided by the number of objects in the batch, at least 1.
///
/// - Source: `SetCriterion` in `models/deformable_detr.py` of fundamentalvision/Deformable-DETR;
///   `loss/loss_deformable_detr.py` of Hugging Face transformers 5.23.0.
public struct Criterion: Sendable, Hashable {
    /// How much each kind of loss counts in the total.
    public struct Weights: Sendable, Hashable {
        /// Of the focal loss of the classes.
        public var classification: Double
        /// Of the L1 distance of the boxes.
        public var distance: Double
        /// Of 1 - GIoU.
        public var overlap: Double

        public init(classification: Double, distance: Double, overlap: Double) {
            self.classification = classification
            self.distance = distance
            self.overlap = overlap
        }
    }

    /// What objects and queries are matched by.
    public var cost: MatchingCost
    /// How much each kind of loss counts.
    public var weights: Weights
    /// The focal loss's weight of true classes, 0...1; its exponent is 2.
    public var focalAlpha = 0.25
    /// Whether decoder layers before the last count.
    public var judgesEveryLayer = true
    /// Whether a two-stage model's proposals count.
    public var judgesProposals = true

    /// A criterion for all layers and proposals.
    public init(cost: MatchingCost, weights: Weights) {
        self.cost = cost
        self.weights = weights
    }

    /// The authors' weights: matching 2, 5, 2 and loss 2, 5, 2, all layers.
    public static let published = Criterion(
        cost: .published, weights: Weights(classification: 2, distance: 5, overlap: 2))

    /// transformers' defaults: matching 1, 5, 2 and loss 1, 5, 2, the last layer alone; it has no loss for proposals.
    public static let huggingFace = {
        var criterion = Criterion(
            cost: .huggingFace, weights: Weights(classification: 1, distance: 5, overlap: 2))
        criterion.judgesEveryLayer = false
        criterion.judgesProposals = false
        return criterion
    }()

    /// Judges a batch.
    ///
    /// The result is the same for any number of threads.
    ///
    /// - Parameters:
    ///   - output: of each decoder layer logits `[N, Q, C]` and boxes `[N, Q, 4]`, cxcywh in 0...1 of each image; of the
    ///     proposals the same with S for Q.
    ///   - targets: the objects of the N images; an image may have none, or more than there are queries.
    ///   - objectCount: what sums over objects are divided by; nil for the objects of these targets. Whoever passes a batch in parts
    ///     gives the whole batch's.
    /// - Throws: ``TrainingError`` for outputs or true boxes that are not finite, `MatchingError` for a class without a column.
    public func callAsFunction(
        _ output: TrainingOutput, targets: [Targets], objectCount: Int? = nil
    ) throws -> Loss {
        try validate(output, targets: targets)
        let objects = targets.map(\.objects)
        let objectCount = Double(max(1, objectCount ?? targets.reduce(0) { $0 + $1.boxes.count }))
        let last = output.layers.count - 1

        var jobs: [Job] = output.layers.indices.compactMap { layer in
            judgesEveryLayer || layer == last
                ? Job(.layer(layer), suffix: layer == last ? "" : "_\(layer)", output.layers[layer], objects) : nil
        }
        if judgesProposals, let proposals = output.proposals {
            let objectsOfAnyClass = objects.map { $0.map { MatchingTarget(classID: 0, box: $0.box) } }
            jobs.append(Job(.proposals, suffix: "_enc", proposals, objectsOfAnyClass))
        }
        let matchings = try assignments(jobs)

        // What is not judged has the gradient 0.
        var gradient = TrainingOutput(
            layers: output.layers.map(\.zeros), proposals: output.proposals.map(\.zeros))
        var terms: [Loss.Terms] = []
        for (job, matching) in zip(jobs, matchings) {
            let judged = judge(job, matching, objectCount: objectCount)
            terms.append(judged.terms)
            switch job.part {
            case .layer(let layer): gradient.layers[layer] = judged.gradient
            case .proposals: gradient.proposals = judged.gradient
            }
        }
        let total = terms.reduce(0) {
            $0 + weights.classification * $1.classification + weights.distance * $1.distance
                + weights.overlap * $1.overlap
        }
        let lastJob = jobs.firstIndex { $0.part == .layer(last) } ?? 0
        return Loss(
            total: total, terms: terms, classError: classError(jobs[lastJob], matchings[lastJob]),
            cardinalityError: cardinalityError(jobs[lastJob]), gradient: gradient)
    }

    /// One set of predictions and what it is compared with.
    private struct Job {
        enum Part: Equatable {
            case layer(Int)
            case proposals
        }

        let part: Part
        let suffix: String
        let predictions: Predictions
        /// Of each image.
        let objects: [[MatchingTarget]]

        init(_ part: Part, suffix: String, _ predictions: Predictions, _ objects: [[MatchingTarget]]) {
            self.part = part
            self.suffix = suffix
            self.predictions = predictions
            self.objects = objects
        }

        var queries: Int { predictions.logits.shape[1] }
        var classes: Int { predictions.logits.shape[2] }
    }

    // MARK: - Matching

    /// The matchings of each job's images, all jobs and images side by side.
    private func assignments(_ jobs: [Job]) throws -> [[Assignment]] {
        let images = jobs.first?.objects.count ?? 0
        let matcher = HungarianMatcher(cost: cost)
        var results = [Result<[Assignment], any Error>](repeating: .success([]), count: jobs.count * images)
        results.withUnsafeMutableBufferPointer { results in
            // Image by image, so that not one thread gets all the proposals, which are many.
            Parallel.forRanges(results.count) { range in
                for slot in range {
                    let (image, job) = (slot / jobs.count, jobs[slot % jobs.count])
                    results[slot] = Result {
                        try matcher(
                            logits: job.predictions.logits.rows(image..<image + 1),
                            boxes: job.predictions.boxes.rows(image..<image + 1), targets: [job.objects[image]])
                    }
                }
            }
        }
        return try jobs.indices.map { job in
            try (0..<images).flatMap { image in try results[image * jobs.count + job].get() }
        }
    }

    // MARK: - Terms

    private func judge(
        _ job: Job, _ matchings: [Assignment], objectCount: Double
    ) -> (terms: Loss.Terms, gradient: Predictions) {
        let (queries, classes) = (job.queries, job.classes)
        let positives = matchings.enumerated().flatMap { image, matching in
            zip(matching.rows, matching.columns).map { query, object in
                (image * queries + query) * classes + job.objects[image][object].classID
            }
        }
        let classification = FocalLoss(alpha: focalAlpha)(
            job.predictions.logits, positives: positives, scale: weights.classification / objectCount)

        var (distance, overlap) = (0.0, 0.0)
        let boxes = job.predictions.boxes
        let boxGradient = Tensor(boxes.shape) { gradient in
            gradient.update(repeating: 0)
            boxes.withElements { boxes in
                for (image, matching) in matchings.enumerated() {
                    for (query, object) in zip(matching.rows, matching.columns) {
                        let start = (image * queries + query) * 4
                        let loss = BoxLoss(
                            predicted: CenterBox(
                                centerX: boxes[start], centerY: boxes[start + 1], width: boxes[start + 2],
                                height: boxes[start + 3]),
                            target: job.objects[image][object].box)
                        distance += loss.distance
                        overlap += loss.overlap
                        let slope =
                            (weights.distance * loss.distanceGradient + weights.overlap * loss.overlapGradient)
                            / objectCount
                        for coordinate in 0..<4 { gradient[start + coordinate] = Float(slope[coordinate]) }
                    }
                }
            }
        }
        return (
            Loss.Terms(
                suffix: job.suffix, classification: classification.sum / objectCount, distance: distance / objectCount,
                overlap: overlap / objectCount),
            Predictions(logits: classification.gradient, boxes: boxGradient)
        )
    }

    /// The share of matched queries whose highest logit is another class's, in percent; nil without any.
    private func classError(_ job: Job, _ matchings: [Assignment]) -> Double? {
        let pairs = matchings.reduce(0) { $0 + $1.count }
        guard pairs > 0 else { return nil }
        return job.predictions.logits.withElements { logits in
            var wrong = 0
            for (image, matching) in matchings.enumerated() {
                for (query, object) in zip(matching.rows, matching.columns) {
                    let start = (image * job.queries + query) * job.classes
                    let row = logits[start..<start + job.classes]
                    // Of equal logits the first counts.
                    let best = row.indices.max { row[$0] < row[$1] || (row[$0] == row[$1] && $0 > $1) } ?? start
                    if best - start != job.objects[image][object].classID { wrong += 1 }
                }
            }
            return 100 * Double(wrong) / Double(pairs)
        }
    }

    /// How far the number of queries with a class of more than even odds is from the number of objects, a mean over the images.
    private func cardinalityError(_ job: Job) -> Double {
        let perImage = job.queries * job.classes
        guard perImage > 0, !job.objects.isEmpty else { return 0 }
        return job.predictions.logits.withElements { logits in
            let errors = job.objects.enumerated().map { image, objects in
                let found = (0..<job.queries).count { query in
                    let start = image * perImage + query * job.classes
                    return logits[start..<start + job.classes].contains { $0 > 0 }
                }
                return Double(abs(found - objects.count))
            }
            return errors.reduce(0, +) / Double(errors.count)
        }
    }

    // MARK: - Input

    private func validate(_ output: TrainingOutput, targets: [Targets]) throws {
        guard let first = output.layers.first else { preconditionFailure("an output without decoder layers") }
        let named =
            output.layers.enumerated().map { ("decoder layer \($0)", $1) }
            + (output.proposals.map { [("proposals", $0)] } ?? [])
        for (name, part) in named {
            let (logits, boxes) = (part.logits.shape, part.boxes.shape)
            precondition(
                logits.rank == 3 && logits[0] == targets.count && boxes == [logits[0], logits[1], 4]
                    && logits[2] == first.logits.shape[2],
                "\(name): logits \(logits) and boxes \(boxes) for \(targets.count) images")
            if let element = part.logits.firstNonfiniteIndex {
                throw TrainingError.nonfiniteOutput(output: "logits of \(name)", element: element)
            }
            if let element = part.boxes.firstNonfiniteIndex {
                throw TrainingError.nonfiniteOutput(output: "boxes of \(name)", element: element)
            }
        }
        let classes = first.logits.shape[2]
        for (image, targets) in targets.enumerated() {
            for (object, (classID, box)) in zip(targets.classIDs, targets.boxes).enumerated() {
                guard (0..<classes).contains(classID) else {
                    throw MatchingError.classOutOfRange(
                        image: image, object: object, classID: classID, classes: classes)
                }
                let sizes = [box.centerX, box.centerY, box.width, box.height]
                guard sizes.allSatisfy(\.isFinite), box.width >= 0, box.height >= 0 else {
                    throw TrainingError.invalidTarget(image: image, object: object, box: box)
                }
            }
        }
    }
}

extension Targets {
    fileprivate var objects: [MatchingTarget] {
        zip(classIDs, boxes).map { MatchingTarget(classID: $0, box: $1) }
    }
}

extension Predictions {
    /// The same shapes, all 0.
    fileprivate var zeros: Predictions { Predictions(logits: Tensor(logits.shape), boxes: Tensor(boxes.shape)) }
}
