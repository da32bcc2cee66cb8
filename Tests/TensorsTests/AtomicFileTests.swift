import Foundation
import TestSupport
import Tensors
import Testing

@Suite struct AtomicFileTests {
    @Test func replacesTheWholeFileOrNothing() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write(Array("old".utf8), as: "file")
        do {
            let file = try AtomicFile(path: path)
            try Array("unfinished".utf8).withUnsafeBytes { try file.write($0) }
        }
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "old")
        try AtomicFile.write(Array("new".utf8), to: path)
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "new")
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        #expect(names == ["file"], "nothing temporary stays")
    }

    @Test func followsLinksAndSparesDevices() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write(Array("old".utf8), as: "target")
        let link = "\(folder.path)/link"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: path)
        try AtomicFile.write(Array("new".utf8), to: link)
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "new")
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == path)

        // A pipe stands for every device: a test that fails must not replace the real ones.
        let pipe = "\(folder.path)/pipe"
        #expect(mkfifo(pipe, 0o600) == 0)
        let reader = open(pipe, O_RDONLY | O_NONBLOCK)
        defer { close(reader) }
        try AtomicFile.write(Array("through".utf8), to: pipe)
        var bytes = [UInt8](repeating: 0, count: 16)
        #expect(read(reader, &bytes, 16) == 7 && String(decoding: bytes.prefix(7), as: UTF8.self) == "through")
        var status = stat()
        #expect(stat(pipe, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO)
    }

    @Test func longNamesAndFolders() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write([], as: String(repeating: "漢", count: 83) + ".jpg")
        try AtomicFile.write([1, 2, 3], to: path)
        #expect(throws: FileError.self) { try AtomicFile.write([1], to: folder.path) }
        #expect(throws: FileError.self) { try AtomicFile.write([1], to: "\(folder.path)/missing/file") }
    }
}
