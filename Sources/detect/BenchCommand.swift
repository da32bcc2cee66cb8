// `detect bench`: how long each stage takes on this machine, as medians, and how much memory the process needed.

import Checkpoint
import ArgumentParser
import DeformDETR
import Layers
import Tensors

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

struct BenchCommand: RunnableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure how long detecting takes on this machine.",
        usage: "detect bench --weights <file> [options]",
        discussion: """
            The image is noise, twice as high and wide as --size, so that preprocessing includes a real reduction. \
            One run warms up and is not counted; the times are medians of the others. \
            "network" is everything from normalised pixels to boxes.

            EXAMPLE:
              detect bench --weights w.bin --size 800x1333 --runs 20
            """)

    @OptionGroup var network: NetworkArguments

    @Option(help: ArgumentHelp("What the network sees, height x width in pixels.", valueName: "HxW"))
    var size = "800x1333"

    @Option(help: ArgumentHelp("Counted runs.", valueName: "n"))
    var runs = 10

    @Flag(help: "Write JSON in place of a table.")
    var json = false

    func execute() throws -> Int32 {
        let sides = size.lowercased().split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
        guard sides.count == 2, let height = sides[0], let width = sides[1] else {
            throw UsageError("--size: expected height x width as in 800x1333, found '\(size)'")
        }
        for side in [height, width] { _ = try PredictOptions.number(side, "--size", 32...4096) }
        let runs = try PredictOptions.number(runs, "--runs", 1...100_000)
        let options = try ModelOptions(
            weights: network.weights, settings: network.settings,
            sides: ModelOptions.Sides(shorter: min(height, width), longest: max(height, width)))

        let detector = try options.detector()
        let messages = Messages(level: .normal, color: .auto)
        for warning in detector.warnings { messages.warning(warning) }
        let medians = try measure(detector, height: height, width: width, runs: runs)
        let report = BenchReport(
            model: detector.model.configuration.variantName, height: height, width: width,
            precision: detector.model.precision.dtype, threads: options.threads ?? Parallel.processorCount,
            runs: runs,
            medians: medians)
        let output = StandardOutput()
        try output.write(json ? report.json : report.table)
        try output.flush()
        return ExitStatus.success.rawValue
    }

    /// Medians in milliseconds, by stage.
    private func measure(
        _ detector: Detector, height: Int, width: Int, runs: Int
    ) throws -> [(stage: String, milliseconds: Double)] {
        let image = Self.noise(width: 2 * width, height: 2 * height)
        var samples: [[Double]] = []
        for run in 0...runs {
            let (prepared, preprocess) = timed { detector.prepare(image) }
            let times = try detector.run(ImageBatch([prepared.pixels])).times
            guard run > 0 else { continue }
            let stages = [times.backbone, times.encoder, times.decoder, times.network].map { $0 / .milliseconds(1) }
            samples.append([preprocess] + stages + [preprocess + times.network / .milliseconds(1)])
        }
        return ["preprocess", "backbone", "encoder", "decoder", "network", "total"].enumerated().map { index, stage in
            (stage, Self.median(samples.map { $0[index] }))
        }
    }

    private static func median(_ values: [Double]) -> Double {
        let sorted = values.sorted()
        return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
    }

    /// The same image each time.
    private static func noise(width: Int, height: Int) -> Image {
        var state: UInt64 = 1
        let pixels = (0..<width * height * 3).map { _ -> UInt8 in
            // Knuth's MMIX generator (TAOCP volume 2, 3.3.4).
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 56)
        }
        return Image(width: width, height: height, pixels: pixels)
    }
}

/// What a measurement found, and where.
struct BenchReport {
    let model: String
    let height: Int
    let width: Int
    let precision: String
    let threads: Int
    let runs: Int
    let medians: [(stage: String, milliseconds: Double)]

    /// One object on one line.
    var json: String {
        JSONText.object([
            ("model", JSONValue.quoted(model)), ("size", "[\(height),\(width)]"),
            ("precision", JSONValue.quoted(precision)), ("threads", "\(threads)"), ("runs", "\(runs)"),
            ("median_ms", JSONText.object(medians.map { ($0.stage, decimal($0.milliseconds, 3)) })),
            ("peak_memory_bytes", "\(Self.peakMemory)"), ("processor", JSONValue.quoted(Self.processor)),
            (
                "versions",
                JSONText.object([
                    ("detect", JSONValue.quoted(DetectCommand.version)), ("onednn", JSONValue.quoted(oneDNNVersion)),
                ])
            ),
        ]) + "\n"
    }

    /// For people.
    var table: String {
        var lines = ["\(model), \(height)x\(width), \(precision), \(counted(threads, "thread")), \(Self.processor)"]
        for (stage, milliseconds) in medians {
            let number = decimal(milliseconds, 1)
            lines.append(
                stage + String(repeating: " ", count: max(1, 22 - stage.count - number.count)) + number + " ms")
        }
        lines.append("median of \(counted(runs, "run")); peak memory \(Self.peakMemory >> 20) MiB")
        return lines.joined(separator: "\n") + "\n"
    }

    /// Most bytes that this process ever had in memory.
    private static var peakMemory: Int {
        var usage = rusage()
        #if os(Linux)
            // Kibibytes here, bytes on macOS.
            return getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 ? usage.ru_maxrss * 1024 : 0
        #else
            return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_maxrss : 0
        #endif
    }

    /// The processor's name as the system gives it.
    private static var processor: String {
        #if os(Linux)
            guard let file = fopen("/proc/cpuinfo", "r") else { return "unknown" }
            defer { fclose(file) }
            var buffer = [CChar](repeating: 0, count: 4096)
            while fgets(&buffer, Int32(buffer.count), file) != nil {
                let line = String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
                if line.hasPrefix("model name"), let colon = line.firstIndex(of: ":") {
                    return trimmed(line[line.index(after: colon)...])
                }
            }
            return "unknown"
        #else
            var name = [CChar](repeating: 0, count: 256)
            var size = name.count
            guard sysctlbyname("machdep.cpu.brand_string", &name, &size, nil, 0) == 0 else { return "unknown" }
            return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        #endif
    }
}
