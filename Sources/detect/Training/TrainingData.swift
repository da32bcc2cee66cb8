// What a training learns from, and what it is judged with.

import COCO
import CodeImages
import DeformDETR
import Training

/// The samples of a training.
struct TrainingData {
    let source: any SampleSource
    let validation: Validation?
    let warnings: [String]
    /// The most objects in an image; nil for a source without end.
    let mostObjects: Int?

    /// Keeps the images to learn from apart from those that `detect synthesize` makes with the same seed, to judge with.
    private static let codesSeed: UInt64 = 0x6C65_6172_6E00_0000

    /// Reads the annotation files and looks whether all images are there; opens none.
    ///
    /// - Throws: ``UsageError``; the libraries' errors about the files.
    init(_ arguments: TrainingDataArguments, batchSize: Int, seed: UInt64) throws {
        let decoding = try DecodingOptions(arguments.decoding)
        if arguments.codes == nil, let option = arguments.codesOption {
            throw UsageError("train: \(option) belongs to --codes, which is not given")
        }
        var warnings: [String] = []
        switch (arguments.images, arguments.annotations, arguments.codes) {
        case (let folder?, let path?, nil):
            let samples = try FolderSamples(
                dataset: Dataset(contentsOf: path), annotations: path, folder: folder,
                options: .init(seed: seed, decoding: decoding))
            try samples.checkFiles()
            warnings += Self.warnings(samples.omitted, path)
            source = samples
            mostObjects = samples.mostObjects
        case (nil, nil, let count?):
            let count = try PredictOptions.number(count, "--codes", batchSize...100_000_000)
            let use = try PredictOptions.number(arguments.codesUse ?? 3, "--codes-use", 1...1000)
            let sides = try SynthesizeCommand.sides(
                arguments.codesSize ?? SynthesizeCommand.usualSides, "--codes-size")
            source = CodeSamples(
                CodeImageGenerator(seed: seed ^ Self.codesSeed, options: .init(longerSide: sides)), sampleCount: count,
                useCount: use)
            mostObjects = nil
        case (_, _, _?): throw UsageError("train: --codes takes the place of --images and --annotations")
        case (nil, nil, nil):
            throw UsageError("train: expected --images and --annotations, or --codes; found none")
        default: throw UsageError("train: --images and --annotations belong together")
        }
        if let path = arguments.valAnnotations {
            guard let folder = arguments.valImages ?? arguments.images else {
                throw UsageError("train: --val-annotations needs --val-images, the folder of the annotated images")
            }
            validation = try Validation(
                annotations: path, folder: folder, decoding: decoding, classNames: source.classNames)
        } else {
            guard arguments.valImages == nil else {
                throw UsageError("train: --val-images needs --val-annotations, the COCO file with their objects")
            }
            validation = nil
        }
        self.warnings = warnings
    }

    private static func warnings(_ omitted: FolderSamples.Omitted, _ path: String) -> [String] {
        var warnings: [String] = []
        if omitted.crowds > 0 { warnings.append("\(path): \(counted(omitted.crowds, "crowd")) left out") }
        if let first = omitted.annotationsWithoutArea.first {
            warnings.append(
                "\(path): \(counted(omitted.annotationsWithoutArea.count, "box")) without area inside the image left out"
                    + ", the first in annotation \(first)")
        }
        return warnings
    }
}
