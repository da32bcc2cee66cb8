// The course of `detect train`: steps, validations, files, until the last epoch or Ctrl-C.

import Checkpoint
import DeformDETR
import Foundation
import Layers
import Tensors
import Training

/// One run, from the first files read to the last one written.
final class TrainingRun {
    private let session: TrainingSession
    private let plan: TrainingPlan
    private let data: TrainingData
    private let messages: Messages
    private let preprocessing: Preprocessing
    private let overlapLimit: Float
    private let stepsPerEpoch: Int
    private let begunWithNothing: Bool
    private var trainer: Trainer
    private let log: MetricsLog
    /// Keeps other trainings out of the folder.
    private let lock: FolderLock
    /// The best AP so far; nil before the first validation.
    private var best: Double?
    private var clock = TrainingClock()
    private var means = StepMeans()
    /// Problems with samples that were said already.
    private var knownProblems: Set<String> = []

    /// Images on the sheet of validation pictures, and the least score of a detection on it.
    private static let sheetImages = 12
    private static let sheetThreshold: Float = 0.3
    /// The suppression of a model that states none: in every set that was tried it raised AP, and 0.5 to 0.9 were much alike.
    private static let usualOverlapLimit: Float = 0.8

    /// Reads all that is needed.
    ///
    /// - Throws: ``UsageError``; the libraries' errors about the files.
    init(_ session: TrainingSession) throws {
        let arguments = session.arguments
        self.session = session
        plan = try TrainingPlan(arguments)
        messages = Messages(level: try Messages.Level(arguments.message), color: arguments.message.color)
        data = try TrainingData(arguments.data, batchSize: plan.batchSize, seed: plan.seed)
        for warning in data.warnings { messages.warning(warning) }
        let model =
            if let checkpoint = session.checkpoint {
                try TrainingModel(resuming: checkpoint, notes: session.notes)
            } else {
                try TrainingModel(arguments.model, classNames: data.source.classNames, seed: plan.seed)
            }
        for warning in model.warnings { messages.warning(warning) }
        if let objects = data.mostObjects, objects > model.configuration.queries {
            messages.warning(
                "an image has \(counted(objects, "object")), and the model finds \(model.configuration.queries) at most;"
                    + " --queries makes it find more")
        }
        begunWithNothing = model.startsFromNothing
        guard !model.startsFromNothing || arguments.course.freeze != .all else {
            throw UsageError(
                "--freeze all: a backbone that starts from nothing must learn; give --backbone or --weights")
        }
        preprocessing = try Self.preprocessing(arguments.augmentation, stated: model.preprocessing)
        overlapLimit =
            try arguments.result.nms.map(ModelOptions.overlapLimit) ?? model.overlapLimit ?? Self.usualOverlapLimit
        try Self.requireRoomForQueries(model.configuration, plan.augmentation(preprocessing))
        stepsPerEpoch = BatchLoader.stepsPerEpoch(data.source, batchSize: plan.batchSize)
        let options = plan.trainerOptions(
            arguments.model, startsFromNothing: model.startsFromNothing, steps: plan.epochs * stepsPerEpoch)
        try session.folder.prepare()
        lock = try session.folder.lock()
        session.folder.removeUnfinished()
        let metrics = try session.folder.place(for: TrainingFiles.metrics)
        if let checkpoint = session.checkpoint {
            try session.requireSameClasses(data.source.classNames, model.configuration)
            trainer = try Trainer(resuming: checkpoint, configuration: model.configuration, options: options)
            log = try MetricsLog(resuming: metrics, afterStep: trainer.stepCount)
            // The line of a validation is written last of all, the checkpoint before it began.
            best = log.metrics.best?.averagePrecision ?? session.best
            clock.earlier = session.seconds
            for warning in session.warnings(stepsPerEpoch: stepsPerEpoch, steps: trainer.stepCount, log.metrics) {
                messages.warning(warning)
            }
        } else {
            for line in model.description { messages.note(line) }
            trainer = Trainer(
                model.configuration, parameters: model.initial?.parameters ?? TensorDictionary(), options: options)
            log = try MetricsLog(startingAt: metrics)
        }
    }

    /// - Parameter stated: what the weights, or the training that goes on, say.
    private static func preprocessing(
        _ arguments: AugmentationArguments, stated: Preprocessing?
    ) throws -> Preprocessing {
        let size = try arguments.size.map { try PredictOptions.number($0, "--size", 32...4096) }
        let longest = try arguments.maxSize.map { try PredictOptions.number($0, "--max-size", 32...8192) }
        // Photos of 3:5 and wider are rare.
        let usual = size.map { min($0 * 5 / 3, 8192) }
        return try ModelOptions.Sides(shorter: size, longest: longest ?? usual)
            .preprocessing(stated: stated ?? Preprocessing(shorterSide: 480, longestSide: 800))
    }

    /// A two-stage model chooses its queries among the locations of an image's feature maps.
    ///
    /// - Throws: ``UsageError`` when square images can have too few.
    private static func requireRoomForQueries(_ configuration: Configuration, _ augmentation: Augmentation) throws {
        guard configuration.twoStage, let side = augmentation.shorterSides.min() else { return }
        let locations = configuration.locationCount(height: side, width: side)
        guard locations < configuration.queries else { return }
        throw UsageError(
            "--size: images of \(side)x\(side), the smallest that augmentation makes of square ones, have \(locations)"
                + " locations for \(configuration.queries) queries; give a larger --size, fewer --queries, or --augment none"
        )
    }

    /// - Throws: ``Failure`` for an image of other proportions that has too few.
    private static func requireRoomForQueries(_ configuration: Configuration, _ sample: LabelledImage) throws {
        guard configuration.twoStage else { return }
        let (width, height) = (sample.image.width, sample.image.height)
        let locations = configuration.locationCount(height: height, width: width)
        guard locations < configuration.queries else { return }
        throw Failure(
            code: "image_too_small",
            "\(sample.name): resized to \(width)x\(height) it has \(locations) locations for the two-stage model's"
                + " \(configuration.queries) queries")
    }

    // MARK: - The loop

    /// - Returns: the exit status.
    func run() throws -> Int32 {
        let steps = plan.epochs * stepsPerEpoch
        messages.note(
            "\(counted(data.source.sampleCount, "image")) an epoch, \(counted(steps, "step")) of"
                + " \(counted(plan.batchSize, "image")), \(trainer.stepCount) of them done")
        guard trainer.stepCount < steps || lacksValidation else {
            try writeLastModels()
            messages.note("nothing is left to do; --epochs asks for more")
            return ExitStatus.success.rawValue
        }
        if let warning = plan.warmupWarning(steps: steps), trainer.stepCount == 0 { messages.warning(warning) }
        return try Interruption.guarded {
            try Parallel.withThreadCount(plan.threads) { try loop(to: steps) }
        }
    }

    private func loop(to steps: Int) throws -> Int32 {
        let augmentation = plan.augmentation(preprocessing)
        let loader = BatchLoader(
            data.source,
            options: .init(
                batchSize: plan.batchSize, seed: plan.seed, joinsImages: trainer.options.normalization == .batch,
                threads: max(1, min(plan.threads, 4))),
            firstStep: trainer.stepCount
        ) { [configuration = trainer.configuration] sample, seed in
            let augmented = augmentation(sample, seed: seed)
            try Self.requireRoomForQueries(configuration, augmented)
            return augmented
        }
        defer { loader.cancel() }
        func beginProgress() {
            messages.beginProgress(of: steps * plan.batchSize, after: trainer.stepCount * plan.batchSize)
        }
        if lacksValidation { try endEpoch() }
        beginProgress()
        while trainer.stepCount < steps {
            if Interruption.isRequested { return try interrupted() }
            try step(loader)
            messages.showProgress(trainer.stepCount * plan.batchSize)
            if trainer.stepCount % stepsPerEpoch == 0 {
                messages.endProgress()
                try endEpoch()
                beginProgress()
            } else if clock.secondsSinceSave > plan.saveSeconds {
                try save()
            }
        }
        if Interruption.isRequested, lacksValidation { return try interrupted() }
        messages.endProgress()
        let file = try session.folder.place(for: TrainingFiles.best)
        if (try? FileStatus(of: FilePath(file))) == nil {
            messages.warning("\(file), the best weights, is not there any more; last.bin has those of the last epoch")
        } else {
            messages.note("the best weights are in \(file)")
        }
        return ExitStatus.success.rawValue
    }

    /// Whether a signal ended the training in the validation after its last step.
    private var lacksValidation: Bool {
        let (epoch, rest) = trainer.stepCount.quotientAndRemainder(dividingBy: stepsPerEpoch)
        return data.validation != nil && epoch > 0 && rest == 0 && isValidated(epoch)
            && log.metrics.validations.last?.step != trainer.stepCount
    }

    /// Whether there is a validation after that many epochs.
    private func isValidated(_ epoch: Int) -> Bool { epoch == plan.epochs || epoch % plan.validateEvery == 0 }

    private func step(_ loader: BatchLoader) throws {
        guard let next = loader.next() else { return }
        for problem in next.problems {
            let text = Failure(problem).description
            if knownProblems.insert(text).inserted { messages.warning("\(text); left out") }
        }
        guard let batch = next.batch else {
            throw Failure(
                code: "no_samples",
                "no image of a whole epoch could be read; the last problem: "
                    + (next.problems.last.map { Failure($0).description } ?? "none"))
        }
        let report = try trainer.step(batch)
        means.add(report, images: batch.imageCount)
        if means.isDue { try logSteps() }
    }

    /// Writes the means of the steps since the last line; nothing if there were none.
    private func logSteps() throws {
        guard let factor = means.learningRateFactor else { return }
        try log.append(
            means.metrics(
                step: trainer.stepCount, epoch: Double(trainer.stepCount) / Double(stepsPerEpoch),
                learningRate: plan.learningRate * factor, seconds: clock.seconds))
        means = StepMeans()
    }

    // MARK: - What is written

    private func endEpoch() throws {
        let epoch = trainer.stepCount / stepsPerEpoch
        // First of all: whatever goes wrong below, a later run begins with it again.
        try save()
        try writeLastModels()
        var line = "epoch \(epoch)/\(plan.epochs)"
        if let loss = log.metrics.steps.last?.loss { line += ": loss \(decimal(loss, 3))" }
        if let validation = data.validation, isValidated(epoch) {
            line += try validate(validation, epoch: epoch) ?? ""
        }
        try drawCurves()
        messages.note(line + ", \(ProgressBar.duration(clock.seconds)) so far")
    }

    /// The weights as they are; without validations they are the best, too.
    private func writeLastModels() throws {
        if data.validation == nil { try writeModel(TrainingFiles.best) }
        try writeModel(TrainingFiles.last)
    }

    /// - Returns: what to say of it; nil when a signal ended it before its time.
    private func validate(_ validation: Validation, epoch: Int) throws -> String? {
        let detector = Detector(
            try DeformableDETR(
                WeightCursor(trainer.averagedParameters), configuration: trainer.configuration),
            classNames: data.source.classNames, preprocessing: preprocessing, overlapLimit: overlapLimit,
            threads: plan.threads)
        let start = clock.seconds
        guard let evaluation = try validation.evaluate(detector, messages) else { return nil }
        let precision = evaluation.statistics[0]
        let isBest = best.map { precision > $0 } ?? true
        let sheet = validation.sheet(
            detector, title: "epoch \(epoch)", count: Self.sheetImages, threshold: Self.sheetThreshold)
        try sheet.write(to: session.folder.place(for: TrainingFiles.sheet))
        if isBest {
            best = precision
            try writeModel(TrainingFiles.best)
        }
        // Last: a validation without its line is made again by the next run.
        try log.append(
            ValidationMetrics(
                step: trainer.stepCount, epoch: Double(epoch), evaluation: evaluation,
                seconds: clock.seconds - start, isBest: isBest))
        let text = "AP \(decimal(precision, 3)), AP50 \(decimal(evaluation.statistics[1], 3))"
        return ", \(text)\(isBest ? " (best)" : "")"
    }

    private func writeModel(_ name: String) throws {
        let classes = trainer.configuration.classes
        let names = data.source.classNames as [String?]
        try ModelFile.write(
            trainer.averagedParameters, configuration: trainer.configuration,
            classNames: names + Array(repeating: nil, count: classes - names.count), preprocessing: preprocessing,
            overlapLimit: overlapLimit, to: session.folder.place(for: name))
    }

    private func save() throws {
        try logSteps()
        try trainer.save(
            to: session.folder.place(for: TrainingFiles.checkpoint),
            notes: session.notes(
                configuration: trainer.configuration, preprocessing: preprocessing, overlapLimit: overlapLimit,
                begunWithNothing: begunWithNothing, classNames: data.source.classNames, best: best,
                seconds: clock.seconds, stepsPerEpoch: stepsPerEpoch))
        clock.markSave()
    }

    private func drawCurves() throws {
        try TrainingChart(title: session.folder.path, metrics: log.metrics).image()
            .write(to: session.folder.place(for: TrainingFiles.curves))
    }

    private func interrupted() throws -> Int32 {
        messages.endProgress()
        try save()
        try drawCurves()
        messages.note(
            "saved after \(counted(trainer.stepCount, "step")); detect train --resume \(session.folder.path) goes on")
        return Interruption.exitStatus
    }
}
