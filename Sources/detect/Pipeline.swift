// Three stages at once: decode and prepare the next images, run the network, annotate and write the last ones.
// Results leave in input order; the queues between the stages are bounded, so memory is.

import DeformDETR
import Synchronization
import Tensors

/// What is looked for in each image of a run, and what is kept of it.
struct ImagePlan: Sendable {
    let files: ImageFiles
    /// Only detections with a score above it.
    let threshold: Float
    /// At most this many.
    let topK: Int
    /// Wanted classes; nil for all.
    let classes: Set<Int>?
    /// Whether decoded images are needed after the network has seen them.
    let keepsOriginals: Bool
    /// Whether it must be known where the network looked for each detection.
    let findsAttention: Bool
}

/// Takes the results of a run, in input order. Used by one thread at a time.
protocol ResultSink: AnyObject {
    /// Takes one input's result.
    ///
    /// - Parameter original: the decoded image, if the plan keeps it.
    /// - Returns: false when the run cannot go on.
    func write(_ record: ImageRecord, original: Image?) -> Bool

    /// Says how the run went.
    func finish(isInterrupted: Bool) -> RunSummary
}

/// Runs all inputs through the detector.
struct Pipeline {
    let detector: Detector
    let plan: ImagePlan
    let inputs: [Input]
    /// The inputs' numbers in COCO results.
    let imageIDs: [Int]

    /// An input on its way to the network.
    private struct Prepared: Sendable {
        let index: Int
        let result: Result<Ready, Failure>
    }

    private struct Ready: Sendable {
        /// Kept only when something will be cut or drawn from it.
        let original: Image?
        let prepared: Detector.PreparedImage
        let times: Times
    }

    /// An input on its way to the files.
    private struct Detected: Sendable {
        let index: Int
        let record: ImageRecord
        let original: Image?
    }

    /// Bytes of decoded images that wait for the next stage.
    private static let waitingBytes = 48 << 20

    /// Pixels of an image that are worth a thread of the network: smaller parts wait for each other longer than they work. (A base
    /// model in int8 at 224x224 takes 41.5 ms on one core, 22.5 ms on two.)
    private static let areaPerThread = 1 << 16
    /// Large photos take longer to decode than a small network takes for them.
    private static let readers = 2

    /// Runs the network on the calling thread, and on others beside it where images are too small for all processors.
    ///
    /// - Returns: how the run ended.
    func run(_ writer: any ResultSink, record: ((String, Tensor) -> Void)? = nil) -> RunSummary {
        let prepared = Channel<Prepared>(maximumCount: 4, maximumCost: Self.waitingBytes)
        let detected = Channel<Detected>(maximumCount: 4, maximumCost: Self.waitingBytes)
        let reading = startReading(into: prepared)
        // Only the writing thread touches the writer until it has ended.
        nonisolated(unsafe) let writer = writer
        let writing = BackgroundTask("detect.write") { Self.write(detected, to: writer) }
        let threadsEach = max(1, detector.preprocessing.usualArea / Self.areaPerThread)
        let detectors = detector.shared(among: min(inputs.count, detector.threads / threadsEach))
        let others = detectors.dropFirst().map { detector in
            BackgroundTask("detect.network") { detectAll(of: prepared, by: detector, into: detected) }
        }
        detectAll(of: prepared, by: detectors[0], into: detected, record: record)
        for other in others { other.wait() }
        detected.finish()
        for reader in reading { reader.wait() }
        writing.wait()
        return writer.finish(isInterrupted: Interruption.isRequested)
    }

    /// Decodes and prepares images until nobody wants more.
    private func startReading(into channel: Channel<Prepared>) -> [BackgroundTask] {
        let count = min(Self.readers, inputs.count)
        let progress = ReadingProgress(readers: count, inputs: inputs.count)
        return (0..<count).map { _ in
            BackgroundTask("detect.read") {
                while let index = progress.next() {
                    let result = Result { try prepare(inputs[index]) }.mapError(Failure.init)
                    let bytes =
                        (try? result.get()).map { byteCount($0.original) + $0.prepared.pixels.count * 4 } ?? 0
                    guard channel.send(Prepared(index: index, result: result), cost: bytes) else { break }
                }
                if progress.leave() { channel.finish() }
            }
        }
    }

    /// Takes images through the network until there are no more, or nobody wants them.
    private func detectAll(
        of prepared: Channel<Prepared>, by detector: Detector, into detected: Channel<Detected>,
        record: ((String, Tensor) -> Void)? = nil
    ) {
        while !Interruption.isRequested, let next = prepared.receive() {
            let original = try? next.result.get().original
            let result = ImageRecord(
                input: inputs[next.index], index: next.index, imageID: imageIDs[next.index],
                result: detect(next.result, by: detector, record: record))
            let content = Detected(index: next.index, record: result, original: original)
            guard detected.send(content, cost: byteCount(original)) else { break }
        }
        prepared.cancel()
    }

    /// Writes results in input order: those that come too early wait for the others.
    private static func write(_ detected: Channel<Detected>, to writer: any ResultSink) {
        var early: [Int: Detected] = [:]
        var index = 0
        while let next = detected.receive() {
            early[next.index] = next
            while let turn = early.removeValue(forKey: index) {
                guard writer.write(turn.record, original: turn.original) else { return detected.cancel() }
                index += 1
            }
        }
        // After an interruption some inputs are missing.
        for index in early.keys.sorted() {
            guard let turn = early[index], writer.write(turn.record, original: turn.original) else { return }
        }
    }

    private func prepare(_ input: Input) throws -> Ready {
        var times = Times()
        let image: Image
        let prepared: Detector.PreparedImage
        (image, times.decode) = try timed { try plan.files.read(input) }
        (prepared, times.preprocess) = timed { detector.prepare(image) }
        return Ready(original: plan.keepsOriginals ? image : nil, prepared: prepared, times: times)
    }

    private func detect(
        _ ready: Result<Ready, Failure>, by detector: Detector, record: ((String, Tensor) -> Void)?
    ) -> Result<ImageRecord.Content, Failure> {
        Result {
            let ready = try ready.get()
            var times = ready.times
            let (detections, attention): ([Detection], [DetectionAttention])
            ((detections, attention), times.network) = try timed {
                guard plan.findsAttention else {
                    let found = try detector.detect(
                        in: ready.prepared, threshold: plan.threshold, topK: plan.topK, classes: plan.classes,
                        record: record)
                    return (found, [])
                }
                let found = try detector.detectWithAttention(
                    in: ready.prepared, threshold: plan.threshold, topK: plan.topK, classes: plan.classes,
                    record: record)
                return (found.map(\.detection), found.map(\.attention))
            }
            return ImageRecord.Content(
                width: ready.prepared.originalWidth, height: ready.prepared.originalHeight, detections: detections,
                attention: attention, times: times)
        }.mapError(Failure.init)
    }

    private func byteCount(_ image: Image?) -> Int { image.map { $0.pixels.count } ?? 0 }
}

/// Which input is read next, by several readers.
private final class ReadingProgress: Sendable {
    private struct State {
        var readers: Int
        var next = 0
    }

    private let inputs: Int
    private let state: Mutex<State>

    init(readers: Int, inputs: Int) {
        self.inputs = inputs
        state = Mutex(State(readers: readers))
    }

    /// nil after the last.
    func next() -> Int? {
        state.withLock { state in
            guard state.next < inputs else { return nil }
            defer { state.next += 1 }
            return state.next
        }
    }

    /// - Returns: whether the caller is the last reader.
    func leave() -> Bool {
        state.withLock { state in
            state.readers -= 1
            return state.readers == 0
        }
    }
}
