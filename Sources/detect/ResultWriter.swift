// The last stage: pictures and label files into the output folder, records to standard output, failures and progress to
// standard error.

import DeformDETR
import Tensors

/// Writes each input's result. Used by one thread at a time.
final class ResultWriter: ResultSink {
    private let options: PredictOptions
    private let names: OutputNames
    private let messages: Messages
    private let report: RunReport
    private let output = StandardOutput()
    private var records: any RecordFormat
    private var fatal: (any Error)?

    init(options: PredictOptions, names: OutputNames, total: Int, messages: Messages) {
        self.options = options
        self.names = names
        self.messages = messages
        report = RunReport(total: total, messages: messages)
        records = options.format.records
    }

    /// Before the first record.
    func begin() throws {
        try output.write(records.beginning)
        try output.flush()
        report.begin()
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
        report.count(record)
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
    func finish(isInterrupted: Bool) -> RunSummary {
        messages.endProgress()
        do {
            // After a failed write to standard output this fails again, which changes nothing.
            try output.write(records.ending)
            try output.flush()
        } catch {
            fatal = fatal ?? error
        }
        return report.finish(
            fatal: fatal, isInterrupted: isInterrupted, folder: options.writesFiles ? options.folder.path : nil)
    }
}
