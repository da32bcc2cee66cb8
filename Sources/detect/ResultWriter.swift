// The last stage: pictures and label files into the output folder, records to standard output, failures and progress to
// standard error.

import DeformDETR
import Tensors

/// Writes each input's result. Used by one thread at a time.
final class ResultWriter {
    /// How a run ended.
    struct Summary {
        /// Inputs with a result.
        let succeeded: Int
        /// Inputs without.
        let failed: Int
        /// What ended the run before its time.
        let fatal: (any Error)?
    }

    private let options: PredictOptions
    private let names: OutputNames
    private let total: Int
    private let messages: Messages
    private let output = StandardOutput()
    private var records: any RecordFormat

    private var succeeded = 0
    private var failed = 0
    private var detectionCount = 0
    private var times = Times()
    private var fatal: (any Error)?

    init(options: PredictOptions, names: OutputNames, total: Int, messages: Messages) {
        self.options = options
        self.names = names
        self.total = total
        self.messages = messages
        records = options.format.records
    }

    /// Before the first record.
    func begin() throws {
        try output.write(records.beginning)
        try output.flush()
        messages.beginProgress(of: total)
        messages.showProgress(0)
    }

    /// Writes all that belongs to one input.
    ///
    /// - Returns: false when the run cannot go on.
    func write(_ record: ImageRecord, original: Image?) -> Bool {
        var record = record
        do {
            record.result = try withFiles(record, original)
            messages.hideBar()
            try output.write(records.text(for: record))
            try output.flush()
        } catch {
            fatal = error
            return false
        }
        let path = record.input.path.text
        switch record.result {
        case .success(let content):
            succeeded += 1
            detectionCount += content.detections.count
            times += content.times
            messages.detail("\(path): \(Self.description(of: content.times))")
        case .failure(let failure):
            failed += 1
            messages.error("\(path): \(failure.message(about: path))")
        }
        messages.showProgress(succeeded + failed)
        return true
    }

    /// Writes an image's files; one that cannot be written makes the image a failure.
    ///
    /// - Throws: what would stop all following images, too.
    private func withFiles(_ record: ImageRecord, _ original: Image?) throws -> Result<ImageRecord.Content, Failure> {
        guard case .success(var content) = record.result else { return record.result }
        do {
            (_, content.times.write) = try timed {
                let names = names[record.index]
                if let original { try writePictures(of: original, content, names) }
                if let format = options.format.file {
                    let text = format.text(for: content, imageName: FilePath(bytes: record.input.path.name).text)
                    try AtomicFile.write(text.utf8, to: options.folder.place(for: format.name(names)))
                }
            }
            return .success(content)
        } catch {
            let failure = Failure(error)
            if failure.code == "disk_full" { throw failure }
            return .failure(failure)
        }
    }

    private func writePictures(of image: Image, _ content: ImageRecord.Content, _ names: OutputNames.Names) throws {
        let detections = content.detections
        if options.writesImages {
            try options.images.writeAnnotated(image, detections, to: options.folder.place(for: names.image))
        }
        if options.savesCrops {
            for (index, detection) in detections.enumerated() {
                let name = names.crop(label: detection.label, number: index + 1)
                try options.images.writeCrop(image, detection, to: options.folder.place(for: name))
            }
        }
        for (index, (detection, attention)) in zip(detections, content.attention).enumerated() {
            let place = try options.folder.place(for: names.attention(number: index + 1))
            try options.images.writeAttention(image, detection, attention, to: place)
        }
    }

    /// Completes the document and says how it went.
    func finish(isInterrupted: Bool) -> Summary {
        messages.endProgress()
        do {
            // After a failed write to standard output this fails again, which changes nothing.
            try output.write(records.ending)
            try output.flush()
        } catch {
            fatal = fatal ?? error
        }
        let done = succeeded + failed
        if fatal is ClosedPipe { return Summary(succeeded: succeeded, failed: failed, fatal: fatal) }
        if let fatal { messages.error("\(fatal); stopped after \(done) of \(counted(total, "image"))") }
        if isInterrupted { messages.error("interrupted after \(done) of \(counted(total, "image"))") }
        if done > 0 { messages.note(summary) }
        return Summary(succeeded: succeeded, failed: failed, fatal: fatal)
    }

    /// One line: counts, mean times, where the results are.
    private var summary: String {
        var parts = [counted(succeeded + failed, "image") + (failed > 0 ? ", \(failed) failed" : "")]
        parts.append(counted(detectionCount, "detection"))
        if succeeded > 0 {
            let count = Double(succeeded)
            let mean = Times(
                decode: times.decode / count, preprocess: times.preprocess / count, network: times.network / count,
                write: times.write / count)
            parts.append("mean " + Self.description(of: mean))
        }
        if succeeded > 0, options.writesFiles { parts.append("results in \(options.folder.path)") }
        return parts.joined(separator: "; ")
    }

    private static func description(of times: Times) -> String {
        "decode \(decimal(times.decode, 1)) ms, preprocess \(decimal(times.preprocess, 1)) ms, "
            + "network \(decimal(times.network, 1)) ms, write \(decimal(times.write, 1)) ms"
    }
}
