import Foundation

/// Golden files lie beside the tests that read them: `Tests/<Target>/Golden/`.
public enum Fixture {
    /// The path of `name` in the `Golden` folder beside the calling test file.
    public static func path(_ name: String, besides file: String = #filePath) -> String {
        URL(fileURLWithPath: file).deletingLastPathComponent().appendingPathComponent("Golden/\(name)").path
    }
}
