// Runs that end before their time: Ctrl-C, closed pipes, full disks. No half-written file stays behind.

import Foundation
import TestSupport
import Testing

@Suite struct EndingTests {
    /// Enough images that a run is still under way when the test acts.
    private func folder(_ count: Int) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        for index in 0..<count {
            try folder.add(Pictures.png(width: 64, height: 48, seed: index), as: "in/\(1000 + index).png")
        }
        return folder
    }

    @Test(arguments: [(SIGINT, 130), (SIGTERM, 143)] as [(Int32, Int32)])
    func interrupted(_ number: Int32, _ status: Int32) throws {
        let folder = try folder(1500)
        // A test runner may have been started in the background, with the signal ignored.
        signal(number, SIG_DFL)
        let started = try Command.start(["in", "--format", "json"] + Command.quick, in: folder)
        let deadline = Date(timeIntervalSinceNow: 60)
        while try started.output.filter({ $0 == "\n" }).count < 5, Date() < deadline { usleep(2000) }
        kill(started.process.processIdentifier, number)
        let result = try started.wait()
        #expect(result.status == status)
        #expect(result.error.contains("interrupted after "))
        #expect(result.error.contains(" of 1500 images"))
        let records = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [[String: Any]]
        let done = try #require(records).count
        #expect(done >= 4 && done < 1500)
        // Each record has its picture, and nothing else is there.
        let files = folder.files(in: "detections")
        #expect(files.count == done)
        for file in files {
            #expect(Array(try folder.bytes("detections/\(file)").suffix(8).prefix(4)) == Array("IEND".utf8))
        }
    }

    @Test(arguments: ["text", "json", "jsonl", "csv"])
    func closedPipeEndsQuietly(_ format: String) throws {
        let folder = try folder(200)
        let result = try Command.shell(
            "{ DETECT in QUICK --no-images --format \(format); echo $? > status; } | head -n 1", in: folder)
        #expect(result.error.isEmpty, "\(result.error)")
        #expect(try folder.text("status") == "0\n")
        #expect(result.lines.count == 1)
    }

    @Test func helpIntoAClosedPipe() throws {
        let folder = try folder(0)
        let result = try Command.shell("{ sleep 0.2; DETECT --help; echo $? > status; } | true", in: folder)
        #expect(result.error.isEmpty)
        #expect(try folder.text("status") == "0\n")
    }

    @Test func closedStandardOutput() throws {
        let folder = try folder(1)
        let result = try Command.shell("DETECT in QUICK >&-", in: folder)
        #expect(result.status == 0)
        #expect(folder.files(in: "detections") == ["1000.png"])
        #expect(Pictures.isPNG(try folder.bytes("detections/1000.png")))
    }

    #if os(Linux)
        @Test(arguments: ["text", "json", "jsonl", "coco", "csv"])
        func fullDisk(_ format: String) throws {
            let folder = try folder(20)
            let result = try Command.shell(
                "DETECT in QUICK --threshold 0.01 --no-images --format \(format) > /dev/full", in: folder)
            #expect(result.status == 2)
            #expect(result.error.contains("standard output: cannot write: No space left on device"))
        }
    #endif

    #if os(Linux)
        /// util-linux's `script` gives the command a terminal.
        @Test func progressOnATerminal() throws {
            let folder = try folder(3)
            let result = try Command.shell(
                "export TERM=xterm; script -qec \"DETECT in QUICK --no-images\" /dev/null", in: folder)
            #expect(result.status == 0)
            #expect(result.output.contains("] 2/3 "), "\(result.output)")
            #expect(result.output.contains(" left"))
            for name in ["1000", "1001", "1002"] { #expect(result.output.contains("in/\(name).png: 64x48, ")) }
        }
    #endif

    @Test func colourOnlyOnRequest() throws {
        let folder = try folder(1)
        for (option, isColoured) in [("auto", false), ("never", false), ("always", true)] {
            let result = try Command.run(["nothing.jpg", "--color", option] + Command.quick, in: folder)
            #expect(result.error.contains("\u{1B}[") == isColoured)
        }
    }

    @Test func quiet() throws {
        let folder = try folder(2)
        let result = try Command.run(["in", "--quiet", "--no-images"] + Command.quick, in: folder)
        #expect(result.error.isEmpty)
        #expect(result.lines.count == 2)
    }
}
