// What a run over images says on standard error while it goes and when it ends, and the exit status that it leads to.

/// How a run ended.
struct RunSummary {
    /// Inputs with a result.
    let succeeded: Int
    /// Inputs without.
    let failed: Int
    /// What ended the run before its time.
    let fatal: (any Error)?

    var exitStatus: Int32 {
        if fatal is ClosedPipe { return ExitStatus.success.rawValue }
        if Interruption.isRequested { return Interruption.exitStatus }
        if fatal != nil || succeeded == 0 { return ExitStatus.nothingDone.rawValue }
        return (failed == 0 ? ExitStatus.success : .someFailed).rawValue
    }
}

/// Counts a run's results and says how it goes. Used by one thread at a time.
final class RunReport {
    private let total: Int
    private let messages: Messages
    /// Whether the run is a part of something that says itself how it went.
    private let isPart: Bool
    private var succeeded = 0
    private var failed = 0
    private var detectionCount = 0
    private var times = Times()

    init(total: Int, messages: Messages, isPart: Bool = false) {
        self.total = total
        self.isPart = isPart
        self.messages = messages
    }

    /// Before the first result.
    func begin() {
        messages.beginProgress(of: total)
        messages.showProgress(0)
    }

    /// Counts one input, and says what went wrong with it.
    func count(_ record: ImageRecord) {
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
    }

    /// Says how it went.
    ///
    /// - Parameter folder: where results were written.
    func finish(fatal: (any Error)? = nil, isInterrupted: Bool, folder: String? = nil) -> RunSummary {
        messages.endProgress()
        let summary = RunSummary(succeeded: succeeded, failed: failed, fatal: fatal)
        if fatal is ClosedPipe { return summary }
        let done = succeeded + failed
        if let fatal { messages.error("\(fatal); stopped after \(done) of \(counted(total, "image"))") }
        if isInterrupted { messages.error("interrupted after \(done) of \(counted(total, "image"))") }
        if done > 0, !isPart { messages.note(lastLine(folder)) }
        return summary
    }

    /// Counts, mean times, where the results are.
    private func lastLine(_ folder: String?) -> String {
        var parts = [counted(succeeded + failed, "image") + (failed > 0 ? ", \(failed) failed" : "")]
        parts.append(counted(detectionCount, "detection"))
        if succeeded > 0 {
            let count = Double(succeeded)
            let mean = Times(
                decode: times.decode / count, preprocess: times.preprocess / count, network: times.network / count,
                write: times.write / count)
            parts.append("mean " + Self.description(of: mean))
            if let folder { parts.append("results in \(folder)") }
        }
        return parts.joined(separator: "; ")
    }

    private static func description(of times: Times) -> String {
        "decode \(decimal(times.decode, 1)) ms, preprocess \(decimal(times.preprocess, 1)) ms, "
            + "network \(decimal(times.network, 1)) ms, write \(decimal(times.write, 1)) ms"
    }
}
