// The photos that `detect convert --dtype int8` learns the ranges of activations from.

import DeformDETR
import Tensors

/// Photos of a folder, spread evenly over it.
struct CalibrationImages {
    private let inputs: [Input]
    private let folder: String
    private let files = ImageFiles(decoding: DecodingOptions(), annotation: AnnotationStyle())

    /// More would change little.
    private static let most = 100

    /// - Throws: ``Failure`` for a folder without images.
    init(folder: String) throws {
        var scanner = InputScanner(isRecursive: false, outputFolder: nil)
        scanner.add(FilePath(folder))
        let all = scanner.inputs
        guard !all.isEmpty else {
            throw Failure(
                code: "no_images", "--calibrate: \(folder.printable): expected a folder with photos, found none")
        }
        inputs = (0..<min(Self.most, all.count)).map { all[$0 * all.count / min(Self.most, all.count)] }
        self.folder = folder
    }

    /// - Throws: ``Failure`` when no photo can be used; the libraries' errors about the weights.
    func calibration(of model: ModelFile, allowsNonfinite: Bool, _ messages: Messages) throws -> Calibration {
        let calibrator = try Calibrator(model, allowsNonfinite: allowsNonfinite)
        var seen = 0
        for input in inputs {
            do {
                try calibrator.observe(files.read(input))
                seen += 1
            } catch {
                // Without the option that would read it: this command has none.
                messages.warning((error as? any DiagnosedError)?.description ?? "\(input.path.text): \(error)")
            }
        }
        guard seen > 0 else {
            throw Failure(code: "no_images", "--calibrate: \(folder.printable): none of its photos can be used")
        }
        messages.note("calibrated on \(counted(seen, "photo"))")
        return calibrator.calibration
    }
}
