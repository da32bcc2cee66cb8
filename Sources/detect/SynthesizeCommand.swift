// `detect synthesize`: photographs of machine-readable codes that never were, as a COCO folder.

import ArgumentParser
import Checkpoint
import CodeImages
import Synchronization
import Tensors

struct SynthesizeCommand: RunnableCommand {
    static let configuration = CommandConfiguration(
        commandName: "synthesize",
        abstract: "Make images of machine-readable codes to train and to judge with.",
        usage: "detect synthesize --output <folder> --images <n> [options]",
        discussion: """
            Writes <folder>/images/*.jpg and <folder>/annotations.json (COCO). Boxes enclose the visible part of each symbol, \
            without quiet zone and digits; the classes are qr_code, data_matrix, aztec, pdf417 and linear. \
            The same seed gives the same bytes, whatever the number of threads.

            EXAMPLE:
              detect synthesize --output codes --images 1000 --seed 7
            """)

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Where to write; a folder that holds a dataset is refused.", valueName: "folder"),
        completion: .directory)
    var output: String

    @Option(help: ArgumentHelp("How many images.", valueName: "n"))
    var images: Int

    @Option(help: ArgumentHelp("Decides all images.", valueName: "number"))
    var seed: UInt64 = 0

    @Option(help: ArgumentHelp("The longer side in pixels, or the range that it is drawn from.", valueName: "n|n-n"))
    var size = Self.usualSides

    static let usualSides = "320-1000"

    @Option(help: ArgumentHelp("Processor threads. (default: all processors)", valueName: "n"))
    var threads: Int?

    @Flag(name: .shortAndLong, help: "Say nothing but errors.")
    var quiet = false

    func execute() throws -> Int32 {
        guard !output.isEmpty else { throw UsageError("--output: expected a folder, found an empty argument") }
        let count = try PredictOptions.number(images, "--images", 1...10_000_000)
        let threads = try self.threads.map { try PredictOptions.number($0, "--threads", 1...1024) }
        let generator = CodeImageGenerator(seed: seed, options: .init(longerSide: try Self.sides(size, "--size")))
        let folder = OutputFolder(path: output, protected: [])
        let dataset = FilePath(output).appending(Array(Synthesis.annotations.utf8))
        guard (try? FileStatus(of: dataset)) == nil else {
            throw UsageError(
                "synthesize: \(output) holds a dataset already; choose another folder or remove \(dataset.text)")
        }
        try folder.prepare()
        let messages = Messages(level: quiet ? .quiet : .normal, color: .auto)
        var synthesis = Synthesis(generator: generator, folder: folder, count: count)
        let (codes, milliseconds) = try timed {
            try Interruption.guarded {
                try Parallel.withThreadCount(threads ?? Parallel.processorCount) { try synthesis.run(messages) }
            }
        }
        let done = synthesis.records.count
        messages.note(
            "wrote \(counted(done, "image")) with \(counted(codes, "code")) in \(decimal(milliseconds / 1000, 1)) s")
        return Interruption.isRequested ? Interruption.exitStatus : ExitStatus.success.rawValue
    }

    /// The longer sides that an option asks for.
    ///
    /// - Throws: ``UsageError``.
    static func sides(_ text: String, _ option: String) throws -> ClosedRange<Int> {
        let sides = text.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
        guard (1...2).contains(sides.count), let low = sides[0], let high = sides[sides.count - 1], low <= high else {
            throw UsageError("\(option): expected pixels as in 640 or 320-1000, found '\(text)'")
        }
        for side in [low, high] { _ = try PredictOptions.number(side, option, 64...4096) }
        return low...high
    }
}

/// One run: images on all threads, then the annotations of those that were finished.
private struct Synthesis {
    let generator: CodeImageGenerator
    let folder: OutputFolder
    let count: Int
    /// By image number.
    private(set) var records: [Int: Record] = [:]

    /// The name of the file with the boxes.
    static let annotations = "annotations.json"

    init(generator: CodeImageGenerator, folder: OutputFolder, count: Int) {
        self.generator = generator
        self.folder = folder
        self.count = count
    }

    struct Record: Sendable {
        let width: Int
        let height: Int
        let annotations: [CodeAnnotation]
    }

    private struct State {
        var next = 0
        var records: [Int: Record] = [:]
        var failure: (any Error)?
    }

    /// - Returns: how many codes there are in all images.
    mutating func run(_ messages: Messages) throws -> Int {
        let state = Mutex(State())
        messages.beginProgress(of: count)
        // Whichever thread is free takes the next number; the progress line is drawn under the lock.
        nonisolated(unsafe) let progress = messages
        let count = count
        Parallel.forRanges(min(Parallel.threadCount, count)) { _ in
            while !Interruption.isRequested {
                let number = state.withLock { state -> Int? in
                    guard state.next < count, state.failure == nil else { return nil }
                    defer { state.next += 1 }
                    return state.next
                }
                guard let number else { return }
                let result = Result { try write(number) }
                state.withLock { state in
                    switch result {
                    case .success(let record): state.records[number] = record
                    case .failure(let error): state.failure = error
                    }
                    progress.showProgress(state.records.count)
                }
            }
        }
        messages.endProgress()
        if let failure = state.withLock({ $0.failure }) { throw failure }
        records = state.withLock { $0.records }
        try AtomicFile.write(annotationFile().utf8, to: folder.place(for: Self.annotations))
        return records.values.reduce(0) { $0 + $1.annotations.count { !$0.isIgnored } }
    }

    /// Its number is the image's id, so that results of `--format coco` belong to the annotations.
    private static func name(_ id: Int) -> String {
        let digits = "\(id)"
        return String(repeating: "0", count: max(0, 6 - digits.count)) + digits + ".jpg"
    }

    private static func id(_ number: Int) -> Int { number + 1 }

    private func write(_ number: Int) throws -> Record {
        let (image, annotations) = try generator.image(number)
        try image.write(to: folder.place(for: "images/" + Self.name(Self.id(number))))
        return Record(width: image.width, height: image.height, annotations: annotations)
    }

    /// - Source: https://cocodataset.org/#format-data
    private func annotationFile() -> String {
        let categories = CodeKind.allCases.enumerated().map { index, kind in
            JSONText.object([("id", "\(index)"), ("name", JSONValue.quoted(kind.rawValue))])
        }
        var images: [String] = []
        var annotations: [String] = []
        for (number, record) in records.sorted(by: { $0.key < $1.key }) {
            images.append(
                JSONText.object([
                    ("id", "\(Self.id(number))"), ("file_name", JSONValue.quoted(Self.name(Self.id(number)))),
                    ("width", "\(record.width)"), ("height", "\(record.height)"),
                ]))
            for annotation in record.annotations {
                let box = annotation.box
                annotations.append(
                    JSONText.object([
                        ("id", "\(annotations.count + 1)"), ("image_id", "\(Self.id(number))"),
                        ("category_id", "\(CodeKind.allCases.firstIndex(of: annotation.kind) ?? 0)"),
                        ("bbox", JSONText.array([box.xMin, box.yMin, box.width, box.height].map(JSONText.number))),
                        ("area", JSONText.number(box.area)), ("iscrowd", annotation.isIgnored ? "1" : "0"),
                    ]))
            }
        }
        func lines(_ elements: [String]) -> String { "[\n" + elements.joined(separator: ",\n") + "\n]" }
        return JSONText.object([
            ("images", lines(images)), ("annotations", lines(annotations)), ("categories", lines(categories)),
        ]) + "\n"
    }
}
