// The words that `detect train` takes, and what they stand for.

import ArgumentParser
import Backbone
import DeformDETR
import Layers
import Training

/// A kind of model.
enum ModelPreset: String, CaseIterable, ExpressibleByArgument {
    /// Two-stage, narrow and shallow: learns from little in little time.
    case small
    /// The published variants on ResNet-50.
    case base, refined
    case twoStage = "two-stage"

    /// The model with a backbone of this shape; the preset's own without one.
    func configuration(backbone: ResNetConfiguration?) -> Configuration {
        var configuration = Configuration()
        switch self {
        case .small:
            configuration.backbone = ResNetConfiguration(
                block: .basic, depths: [2, 2, 2], stemWidth: 64, widths: [64, 128, 256])
            configuration.modelWidth = 128
            configuration.encoderLayers = 3
            configuration.decoderLayers = 3
            configuration.feedForwardWidth = 512
            configuration.levels = 3
            configuration.queries = 100
        case .base, .refined, .twoStage: break
        }
        if let backbone { configuration.backbone = backbone }
        configuration.refinement = self != .base
        configuration.twoStage = self == .twoStage || self == .small
        configuration.sharesHeads = !configuration.refinement
        // The largest map of a backbone costs more than it brings.
        configuration.featureTaps = max(1, min(3, configuration.backbone.depths.count - 1))
        configuration.levels = max(configuration.levels, configuration.featureTaps)
        return configuration
    }
}

/// What the backbone's batch normalisations do.
enum NormalizationChoice: String, CaseIterable, ExpressibleByArgument {
    case frozen, batch

    var normalization: Normalization { self == .frozen ? .frozen : .batch }
}

/// What products are computed in.
enum TrainingPrecision: String, CaseIterable, ExpressibleByArgument {
    case f32, bf16

    var precision: ComputePrecision { self == .f32 ? .float32 : .bfloat16 }
}

/// How the learning rate falls.
enum ScheduleChoice: String, CaseIterable, ExpressibleByArgument {
    case step, cosine

    /// - Parameter start: the step at which it begins to fall, of `end`.
    func decay(start: Int, end: Int) -> LearningRateSchedule.Decay {
        switch self {
        case .step: .steps(at: [start], factor: 0.1)
        case .cosine: .cosine(start: start, end: end, finalFactor: 0.01)
        }
    }
}

/// Which of the backbone's first parts do not learn.
enum FrozenChoice: String, CaseIterable, ExpressibleByArgument {
    case none, stem, layer1, all

    /// Parts of names, as ``ParameterGroups`` takes them.
    var nameParts: [String] {
        let beginning = ParameterGroups.backboneBeginning
        return switch self {
        case .none: []
        case .stem: beginning.filter { !$0.contains(".layer1.") }
        case .layer1: beginning
        case .all: ["backbone.0."]
        }
    }
}

/// How samples are varied.
enum AugmentationChoice: String, CaseIterable, ExpressibleByArgument {
    /// Every image at the network's size, as it is.
    case none
    /// Flips, sizes and crops.
    case published
    /// And colours, quarter turns, upside down: for things that have no up, such as cells under a microscope.
    case turned
    /// And colours.
    case colors
}
