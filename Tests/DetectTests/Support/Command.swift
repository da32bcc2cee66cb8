// Runs the built command over temporary folders.

import Foundation
import TestSupport

/// The built command, as a user's shell would run it.
enum Command {
    /// What a run left behind.
    struct Result {
        let status: Int32
        let output: String
        let error: String

        var lines: [String] { output.split(separator: "\n").map(String.init) }
    }

    /// The repository's folder.
    static let repository = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// A tiny model of random weights, whose heads are fitted to the pictures beside it.
    static let weights = fixture("model.safetensors")

    static func fixture(_ name: String) -> String {
        repository.appendingPathComponent("Tests/Fixtures/\(name)").path
    }

    /// The executable that was built with these tests.
    static let path: String = {
        var folders = [
            URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent(), Bundle.main.bundleURL,
        ]
        folders += folders.map { $0.deletingLastPathComponent() }
        folders.append(repository.appendingPathComponent(".build/release"))
        let candidates = folders.map { $0.appendingPathComponent("detect").path }
        return candidates.first { isExecutable($0) } ?? "no detect beside \(CommandLine.arguments[0])"
    }()

    private static func isExecutable(_ path: String) -> Bool {
        var isFolder: ObjCBool = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && !isFolder.boolValue
            && FileManager.default.isExecutableFile(atPath: path)
    }

    /// Options that make the default command quick: the tiny model at a small size. One thread, as tests run side by side.
    static let quick = ["--weights", weights, "--size", "64", "--max-size", "96", "--threads", "1"]

    /// Runs the command in `folder` and waits for it.
    ///
    /// - Parameter input: standard input.
    static func run(_ arguments: [String], in folder: TemporaryFolder, input: [UInt8] = []) throws -> Result {
        try run(executable: path, arguments, in: folder, input: input)
    }

    /// Runs a line of shell in which `DETECT` stands for the command and `QUICK` for its quick options.
    static func shell(_ line: String, in folder: TemporaryFolder) throws -> Result {
        let script = line.replacingOccurrences(of: "DETECT", with: "'\(path)'")
            .replacingOccurrences(of: "QUICK", with: quick.map { "'\($0)'" }.joined(separator: " "))
        return try run(executable: "/bin/sh", ["-c", script], in: folder)
    }

    private static func run(
        executable: String, _ arguments: [String], in folder: TemporaryFolder, input: [UInt8] = []
    ) throws -> Result {
        let started = try start(executable: executable, arguments, in: folder, input: input)
        return try started.wait()
    }

    /// A command that is running.
    struct Started {
        let process: Process
        let files: TemporaryFolder

        /// What it has written to standard output so far.
        var output: String { get throws { try text("output") } }

        func wait() throws -> Result {
            process.waitUntilExit()
            let status = process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus
            return Result(status: status, output: try text("output"), error: try text("error"))
        }

        private func text(_ name: String) throws -> String {
            String(decoding: try Data(contentsOf: URL(fileURLWithPath: "\(files.path)/\(name)")), as: UTF8.self)
        }
    }

    /// Starts the command without waiting for it. Its streams are files, so that no pipe can fill up.
    static func start(
        executable: String = path, _ arguments: [String], in folder: TemporaryFolder, input: [UInt8] = []
    ) throws -> Started {
        let files = try TemporaryFolder()
        let process = Process()
        process.executableURL = URL(fileURLWithPath: executable)
        process.arguments = arguments
        process.currentDirectoryURL = URL(fileURLWithPath: folder.path)
        process.standardInput = try FileHandle(
            forReadingFrom: URL(fileURLWithPath: try files.write(input, as: "input")))
        process.standardOutput = try FileHandle(
            forWritingTo: URL(fileURLWithPath: try files.write([], as: "output")))
        process.standardError = try FileHandle(
            forWritingTo: URL(fileURLWithPath: try files.write([], as: "error")))
        try process.run()
        return Started(process: process, files: files)
    }
}

extension TemporaryFolder {
    /// Writes a file, with the folders that its name begins with.
    func add(_ bytes: [UInt8], as name: String) throws {
        let folder = URL(fileURLWithPath: "\(path)/\(name)").deletingLastPathComponent()
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        _ = try write(bytes, as: name)
    }

    func link(_ name: String, to target: String) throws {
        try FileManager.default.createSymbolicLink(atPath: "\(path)/\(name)", withDestinationPath: target)
    }

    func makeFolder(_ name: String) throws {
        try FileManager.default.createDirectory(atPath: "\(path)/\(name)", withIntermediateDirectories: true)
    }

    func bytes(_ name: String) throws -> [UInt8] {
        Array(try Data(contentsOf: URL(fileURLWithPath: "\(path)/\(name)")))
    }

    func text(_ name: String) throws -> String { String(decoding: try bytes(name), as: UTF8.self) }

    /// All files below `name`, hidden ones too, sorted; names from `name` on.
    func files(in name: String) -> [String] {
        let root = "\(path)/\(name)"
        return (FileManager.default.subpaths(atPath: root) ?? []).filter { file in
            var isFolder: ObjCBool = false
            return FileManager.default.fileExists(atPath: "\(root)/\(file)", isDirectory: &isFolder)
                && !isFolder.boolValue
        }.sorted()
    }
}
