import Backbone
import Checkpoint
import CodeImages
import DeformDETR
import Foundation
import Layers
import Tensors
import Training

enum ScratchTrain {
    static func run() throws {
        let env = ProcessInfo.processInfo.environment
        func number(_ k: String, _ d: Int) -> Int { env[k].flatMap { Int($0) } ?? d }
        var c = Configuration()
        c.backbone = ResNetConfiguration(block: .basic, depths: [2, 2, 2], stemWidth: 64, widths: [64, 128, 256])
        c.featureTaps = number("TAPS", 2)
        c.levels = number("LEVELS", 3)
        c.modelWidth = number("WIDTH", 128)
        c.encoderLayers = number("ENC", 3); c.decoderLayers = number("DEC", 3)
        c.feedForwardWidth = number("FFN", 512)
        c.queries = number("Q", 100); c.classes = 5; c.refinement = true; c.twoStage = true; c.sharesHeads = false
        let file = try WeightFile.open(env["BACKBONE"] ?? "")
        let initial = try InitialParameters(c, seed: 1, completing: PartialWeights(file, for: c))
        print("taken \(initial.taken.count) initialized \(initial.initialized.count) ignored \(initial.ignored.count)")
        var o = Trainer.Options()
        o.averageDecay = 0.999
        var trainer = Trainer(c, parameters: initial.parameters, options: o)
        let side = number("SIZE", 480)
        let loader = BatchLoader(
            CodeSamples(CodeImageGenerator(seed: 1), sampleCount: 10000, useCount: 4),
            options: .init(batchSize: number("BATCH", 8), seed: 3, threads: 1)
        ) { sample, _ in
            let scale = Float(side) / Float(max(sample.image.width, sample.image.height))
            let w = max(1, Int(Float(sample.image.width) * scale)), h = max(1, Int(Float(sample.image.height) * scale))
            return LabelledImage(
                image: sample.image.resized(width: w, height: h),
                objects: sample.objects.map {
                    .init(
                        classID: $0.classID,
                        box: $0.box.scaled(
                            width: Float(w) / Float(sample.image.width), height: Float(h) / Float(sample.image.height)))
                })
        }
        let start = Date()
        var wait = 0.0
        for step in 0..<number("STEPS", 30) {
            let t0 = Date()
            guard let b = loader.next()?.batch else { break }
            wait += Date().timeIntervalSince(t0)
            let t1 = Date()
            let r = try trainer.step(b)
            print(
                step, b.objectCount, r.loss, r.gradientNorm, "step", Date().timeIntervalSince(t1), "total",
                Date().timeIntervalSince(start), "wait", wait)
        }
    }
}
