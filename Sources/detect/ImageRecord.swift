// What is known about one input when it is done: what the output formats write.

import DeformDETR

/// One input's result.
struct ImageRecord: Sendable {
    /// What was found in an image.
    struct Content: Sendable {
        /// Size of the upright original, in pixels.
        let width: Int
        let height: Int
        /// Best first; boxes in pixels of the upright original, every number finite.
        let detections: [Detection]
        /// Where the network looked, one for each detection; empty unless the run draws it.
        let attention: [DetectionAttention]
        var times: Times
    }

    let input: Input
    /// The input's place in the run, from 0.
    let index: Int
    /// The image's number in COCO results.
    let imageID: Int
    var result: Result<Content, Failure>
}

/// Wall-clock time of an image's stages, in milliseconds.
struct Times: Sendable {
    var decode = 0.0
    var preprocess = 0.0
    var network = 0.0
    /// Annotating, encoding and writing; no part of `total`.
    var write = 0.0

    /// From the file to the boxes.
    var total: Double { decode + preprocess + network }

    static func += (sum: inout Times, times: Times) {
        sum.decode += times.decode
        sum.preprocess += times.preprocess
        sum.network += times.network
        sum.write += times.write
    }
}

/// Runs `body` and says how long it took, in milliseconds.
func timed<Result>(_ body: () throws -> Result) rethrows -> (Result, Double) {
    let clock = ContinuousClock()
    let start = clock.now
    let result = try body()
    return (result, (clock.now - start) / .milliseconds(1))
}

/// Numbers for images, as COCO results have them.
enum ImageNumbers {
    /// Numbers from the files' names, or else the inputs' places, from 1.
    static func numbers(of inputs: [Input]) -> [Int] {
        fromNames(of: inputs) ?? inputs.indices.map { $0 + 1 }
    }

    /// The number in each file's name (`000000039769.jpg` is 39769), when every image has one of its own. An input that is no
    /// image has no results, so its number (0) does not matter.
    static func fromNames(of inputs: [Input]) -> [Int]? {
        var seen: [Int: FilePath] = [:]
        var numbers: [Int] = []
        for input in inputs {
            guard input.kind != nil else {
                numbers.append(0)
                continue
            }
            let stem = FilePath(bytes: input.path.name).withoutExtension.bytes
            guard stem.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
                let number = Int(String(decoding: stem, as: UTF8.self)),
                seen.updateValue(input.path, forKey: number).map({ $0 == input.path }) ?? true
            else { return nil }
            numbers.append(number)
        }
        return numbers
    }
}
