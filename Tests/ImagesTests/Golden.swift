import Foundation
import Images
import TestSupport
import Testing

/// What tools/golden_images.py wrote with Pillow 13.0.0 and torch 2.15.0.
struct Golden {
    /// A file of the golden folder and the image that Pillow makes of it.
    struct Case: Decodable, Sendable, CustomTestStringConvertible {
        let file: String
        let width: Int
        let height: Int
        let offset: Int

        var testDescription: String { "\(file) \(width)x\(height)" }
    }

    private struct Manifest: Decodable {
        let cases: [Case]
        let resizes: [Case]
    }

    let cases: [Case]
    let resizes: [Case]
    private let expected: Data

    init() throws {
        let manifest = try JSONDecoder().decode(
            Manifest.self, from: Data(contentsOf: URL(fileURLWithPath: Fixture.path("cases.json"))))
        cases = manifest.cases
        resizes = manifest.resizes
        expected = try Data(contentsOf: URL(fileURLWithPath: Fixture.path("expected.bin")))
    }

    func image(_ golden: Case) throws -> Image {
        let end = golden.offset + golden.width * golden.height * 3
        try #require(end <= expected.count)
        return Image(width: golden.width, height: golden.height, pixels: [UInt8](expected[golden.offset..<end]))
    }

    static func bytes(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(fileURLWithPath: Fixture.path(name))))
    }
}

/// Fails with the first difference between two images, if there is one.
func expectEqual(_ image: Image, _ expected: Image, _ name: String, at location: SourceLocation = #_sourceLocation) {
    guard image.width == expected.width, image.height == expected.height else {
        Issue.record(
            "\(name): \(image.width)x\(image.height), expected \(expected.width)x\(expected.height)",
            sourceLocation: location)
        return
    }
    guard let index = image.pixels.indices.first(where: { image.pixels[$0] != expected.pixels[$0] }) else { return }
    let (row, column) = (index / 3 / image.width, index / 3 % image.width)
    Issue.record(
        """
        \(name): row \(row), column \(column), channel \(index % 3): \(image.pixels[index]), \
        expected \(expected.pixels[index])
        """, sourceLocation: location)
}

/// A folder that goes away with its owner.
final class TemporaryFolder {
    let path: String

    init() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("images-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        path = folder.path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ bytes: [UInt8], _ name: String) throws -> String {
        let file = path + "/" + name
        try Data(bytes).write(to: URL(fileURLWithPath: file))
        return file
    }
}

extension Image {
    /// Random pixels.
    init(width: Int, height: Int, seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let pixels = (0..<width * height * 3).map { _ in UInt8.random(in: 0...255, using: &generator) }
        self.init(width: width, height: height, pixels: pixels)
    }

    init(width: Int, height: Int, gray: UInt8) {
        self.init(width: width, height: height, pixels: [UInt8](repeating: gray, count: width * height * 3))
    }

    func color(_ column: Int, _ row: Int) -> [UInt8] {
        Array(pixels[((row * width + column) * 3)..<((row * width + column) * 3 + 3)])
    }
}
