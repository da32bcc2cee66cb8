// The process: arguments to a command, errors to messages and exit statuses. Everything else returns or throws.

import ArgumentParser
import DeformDETR
import Tensors

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

@main
enum Program {
    static func main() {
        IdleThreads.restartWithShortSpin()
        openMissingStandardStreams()
        Interruption.install()
        let arguments = Array(CommandLine.arguments.dropFirst())
        // The default command's options are what `detect --help` is asked for.
        if arguments.isEmpty || [["--help"], ["-h"], ["help"]].contains(arguments) {
            let help = PredictCommand.helpMessage() + "\n"
            if arguments.isEmpty {
                StandardError.write(help)
                exit(ExitStatus.usage.rawValue)
            }
            exit(run { try write(help) })
        }
        do {
            var command = try DetectCommand.parseAsRoot(arguments)
            guard let runnable = command as? any RunnableCommand else {
                // Help and version requests.
                try command.run()
                return
            }
            let isNamed = !(runnable is PredictCommand)
            exit(run(isNamed ? type(of: runnable).configuration.commandName : nil) { try runnable.execute() })
        } catch {
            DetectCommand.exit(withError: error)
        }
    }

    /// Runs `body` and turns what it throws into a message and a status.
    ///
    /// - Parameter name: the command whose help says how it is called; nil for the one without a name.
    private static func run(_ name: String? = nil, _ body: () throws -> Int32) -> Int32 {
        do {
            return try body()
        } catch is ClosedPipe {
            return ExitStatus.success.rawValue
        } catch let error as UsageError {
            let help = ["detect", name, "--help"].compactMap(\.self).joined(separator: " ")
            StandardError.write("detect: error: \(error.description.printable)\nSee '\(help)'.\n")
            return ExitStatus.usage.rawValue
        } catch {
            StandardError.write("detect: error: \(Failure(error).description.printable)\n")
            return ExitStatus.nothingDone.rawValue
        }
    }

    private static func write(_ text: String) throws -> Int32 {
        let output = StandardOutput()
        try output.write(text)
        try output.flush()
        return ExitStatus.success.rawValue
    }
}

/// A command that ends with an exit status or an error.
protocol RunnableCommand: ParsableCommand {
    /// - Throws: ``UsageError`` for a wrong call, ``ClosedPipe`` to end quietly, anything else when nothing could be done.
    func execute() throws -> Int32
}

/// `detect` itself: chooses the command.
struct DetectCommand: ParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "detect",
        abstract: "Find objects in images with a Deformable DETR.",
        version: version,
        subcommands: [
            PredictCommand.self, ConvertCommand.self, InspectCommand.self, BenchCommand.self, EvalCommand.self,
            TrainCommand.self, SynthesizeCommand.self,
        ],
        defaultSubcommand: PredictCommand.self)
}

extension Terminal.Color: ExpressibleByArgument {}
extension OutputFormat: ExpressibleByArgument {}
extension DecodingOptions.ExifOrientation: ExpressibleByArgument {}

/// How the network computes.
enum Precision: String, CaseIterable, ExpressibleByArgument {
    case f32, bf16, int8

    var computed: ComputePrecision {
        switch self {
        case .f32: .float32
        case .bf16: .bfloat16
        case .int8: .int8
        }
    }
}
