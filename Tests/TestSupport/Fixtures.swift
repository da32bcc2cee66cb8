import Checkpoint
import Foundation

/// Golden files lie beside the tests that read them: `Tests/<Target>/Golden/`.
public enum Fixture {
    /// The path of `name` in the `Golden` folder beside the calling test file.
    public static func path(_ name: String, besides file: String = #filePath) -> String {
        URL(fileURLWithPath: file).deletingLastPathComponent().appendingPathComponent("Golden/\(name)").path
    }

    /// A golden file of tensors and the `configuration` that its metadata has as JSON.
    public static func open<Configuration: Decodable>(
        _ name: String, configuration: Configuration.Type, besides file: String = #filePath
    ) throws -> (file: WeightFile, configuration: Configuration) {
        let opened = try WeightFile.open(path(name, besides: file))
        let text = opened.metadata["configuration"] ?? ""
        return (opened, try JSONDecoder().decode(configuration, from: Data(text.utf8)))
    }
}
