import AttentionCases
import Checkpoint
import DeformableAttention
import Foundation
import Layers
import Tensors
import TestSupport

/// The probe's arguments.
struct Request {
    let path: String
    let outputPath: String
    var runs = 1
    var threads = Parallel.processorCount
    var runsBackward = false

    static let usage = "usage: attention-probe CASE.safetensors OUT.safetensors [--runs N] [--threads N] [--backward]\n"

    /// Nil when the arguments make no sense.
    init?(_ arguments: [String]) {
        guard arguments.count >= 2, !arguments[0].hasPrefix("--"), !arguments[1].hasPrefix("--") else { return nil }
        path = arguments[0]
        outputPath = arguments[1]
        var rest = arguments.dropFirst(2)
        while let option = rest.popFirst() {
            switch option {
            case "--backward": runsBackward = true
            case "--runs", "--threads":
                guard let number = rest.popFirst().flatMap({ Int($0) }), (1...10_000).contains(number) else {
                    return nil
                }
                if option == "--runs" { runs = number } else { threads = number }
            default: return nil
            }
        }
    }
}

/// Runs one case: what it computes, how long that takes, and how much memory.
struct Probe {
    let request: Request

    /// - Returns: the report, one line of JSON.
    func run() throws -> String {
        try Parallel.withThreadCount(request.threads) {
            let computation = try computation(
                of: AttentionCase(contentsOf: request.path), backward: request.runsBackward)
            let idle = Memory()
            var results = try computation()
            var seconds: [Double] = []
            for _ in 0..<request.runs {
                results = TensorDictionary()
                let start = ContinuousClock.now
                results = try computation()
                seconds.append((ContinuousClock.now - start) / .seconds(1))
            }
            let peak = Memory().peak
            try SafetensorsWriter.write(results, to: request.outputPath)
            return report(seconds: seconds, idle: idle, peak: peak)
        }
    }

    private func report(seconds: [Double], idle: Memory, peak: Int) -> String {
        let sorted = seconds.sorted()
        let median = (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
        return "{\"median_seconds\":\(median),\"seconds\":[\(seconds.map { "\($0)" }.joined(separator: ","))],"
            + "\"idle_memory_bytes\":\(idle.current),\"peak_memory_bytes\":\(peak),\"threads\":\(request.threads)}"
    }
}
