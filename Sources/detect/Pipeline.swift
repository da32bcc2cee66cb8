// Three stages on three threads: decode and prepare the next images, run the network, annotate and write the last ones.
// Results leave in input order; the queues between the stages are bounded, so memory is.

import DeformDETR
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
        let record: ImageRecord
        let original: Image?
    }

    /// Bytes of decoded images that wait for the next stage.
    private static let waitingBytes = 48 << 20

    /// Runs on the calling thread, where the network stays: its thread pool belongs to one thread.
    ///
    /// - Returns: how the run ended.
    func run(_ writer: any ResultSink, record: ((String, Tensor) -> Void)? = nil) -> RunSummary {
        let prepared = Channel<Prepared>(maximumCount: 4, maximumCost: Self.waitingBytes)
        let detected = Channel<Detected>(maximumCount: 4, maximumCost: Self.waitingBytes)
        let reading = BackgroundTask("detect.read") { read(into: prepared) }
        // Only the writing thread touches the writer until it has ended.
        nonisolated(unsafe) let writer = writer
        let writing = BackgroundTask("detect.write") {
            while let next = detected.receive() {
                guard writer.write(next.record, original: next.original) else { return detected.cancel() }
            }
        }
        while !Interruption.isRequested, let next = prepared.receive() {
            let original = try? next.result.get().original
            let result = ImageRecord(
                input: inputs[next.index], index: next.index, imageID: imageIDs[next.index],
                result: detect(next.result, record: record))
            guard detected.send(Detected(record: result, original: original), cost: byteCount(original)) else { break }
        }
        prepared.cancel()
        detected.finish()
        reading.wait()
        writing.wait()
        return writer.finish(isInterrupted: Interruption.isRequested)
    }

    private func read(into channel: Channel<Prepared>) {
        for index in inputs.indices {
            let result = Result { try prepare(inputs[index]) }.mapError(Failure.init)
            let bytes = (try? result.get()).map { byteCount($0.original) + $0.prepared.pixels.count * 4 } ?? 0
            guard channel.send(Prepared(index: index, result: result), cost: bytes) else { return }
        }
        channel.finish()
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
        _ ready: Result<Ready, Failure>, record: ((String, Tensor) -> Void)?
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
