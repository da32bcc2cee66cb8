// Writes undistorted symbols for tools/check_symbols.py: FOLDER/<n>.png, and a line of JSON for each on standard output.

import Checkpoint
import CodeImages
import Images

@main
enum SymbolProbe {
    static func main() throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 4, let count = Int(arguments[2]), let seed = UInt64(arguments[3]) else {
            print("usage: symbol-probe FOLDER COUNT SEED")
            return
        }
        let generator = CodeImageGenerator(seed: seed)
        for number in 0..<max(0, count) {
            let kind = CodeKind.allCases[number % CodeKind.allCases.count]
            let (image, annotation) = try generator.plainImage(number, kind: kind)
            let path = "\(arguments[1])/\(number).png"
            try image.write(to: path)
            let box = annotation.box
            print(
                "{\"path\":\(JSONValue.quoted(path)),\"kind\":\"\(kind.rawValue)\","
                    + "\"content\":\(JSONValue.quoted(annotation.content)),"
                    + "\"box\":[\(box.xMin),\(box.yMin),\(box.xMax),\(box.yMax)]}")
        }
    }
}
