import Dispatch

/// How long a training has run, without the time between its interruptions and resumptions.
struct TrainingClock {
    /// Seconds before this run.
    var earlier = 0.0
    private let start = DispatchTime.now()
    private var lastSave = DispatchTime.now()

    var seconds: Double { earlier + Self.seconds(since: start) }
    var secondsSinceSave: Double { Self.seconds(since: lastSave) }

    mutating func markSave() { lastSave = .now() }

    static func seconds(since start: DispatchTime) -> Double {
        Double(DispatchTime.now().uptimeNanoseconds - start.uptimeNanoseconds) / 1e9
    }
}
