// Writes an image's decoded pixels, for tools/compare_pixels.py: `pixel-probe FILE [--allow-truncated] [WxH ...]`.
//
// Standard output has the image, then each resized copy, as binary PPM. Of a refused file, standard error has the error's code and text.

import Foundation
import Images
import Tensors

/// The probe's arguments.
struct Request {
    let path: String
    var options = DecodingOptions()
    var sizes: [(width: Int, height: Int)] = []

    /// Nil when the arguments make no sense.
    init?(_ arguments: [String]) {
        guard let path = arguments.first else { return nil }
        self.path = path
        for argument in arguments.dropFirst() {
            if argument == "--allow-truncated" {
                options.allowsTruncated = true
                continue
            }
            let sides = argument.split(separator: "x").compactMap { Int($0) }
            guard sides.count == 2, sides.allSatisfy({ (1...ImageLimits.longestSide).contains($0) }) else { return nil }
            sizes.append((sides[0], sides[1]))
        }
    }
}

func write(_ image: Image) throws {
    let header = "P6\n\(image.width) \(image.height)\n255\n"
    try FileHandle.standardOutput.write(contentsOf: Data(header.utf8))
    try FileHandle.standardOutput.write(contentsOf: Data(image.pixels))
}

guard let request = Request(Array(CommandLine.arguments.dropFirst())) else {
    FileHandle.standardError.write(Data("usage: pixel-probe FILE [--allow-truncated] [WxH ...]\n".utf8))
    exit(64)
}
do {
    let image = try Image(contentsOf: request.path, options: request.options)
    try write(image)
    for size in request.sizes { try write(image.resized(width: size.width, height: size.height)) }
} catch {
    let code = (error as? any DiagnosedError)?.code ?? "error"
    FileHandle.standardError.write(Data("\(code)\n\(error)\n".utf8))
    exit(1)
}
