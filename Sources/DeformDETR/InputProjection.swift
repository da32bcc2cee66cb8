import Checkpoint
import DeformableAttention
import Layers
import Tensors

/// Brings the backbone's maps to the model's width and adds coarser levels, as one sequence.
///
/// A 1x1 convolution for each map; each further level is a 3x3 convolution of stride 2, the first on the backbone's raw last
/// map, the next on the level before it. Every projection ends in a GroupNorm.
///
/// - Source: `models/deformable_detr.py`, `input_proj`, of fundamentalvision/Deformable-DETR.
struct InputProjection: Sendable {
    struct Projection: Sendable {
        let convolution: Conv2D
        let norm: GroupNorm
    }

    let projections: [Projection]
    let taps: Int
    private let width: Int

    /// Reads `input_proj.0`, `input_proj.1`, ... under `cursor`.
    init(_ cursor: WeightCursor, configuration: Configuration, precision: ComputePrecision) throws {
        taps = configuration.featureTaps
        width = configuration.modelWidth
        let mapChannels = Array(configuration.backbone.outputWidths.suffix(configuration.featureTaps))
        projections = try (0..<configuration.levels).map { [taps, width] level in
            let geometry =
                level < taps
                ? Conv2D.Geometry(kernel: 1) : Conv2D.Geometry(kernel: 3, stride: 2, padding: 1)
            let inputChannels = level <= taps ? mapChannels[min(level, taps - 1)] : width
            let projection = cursor["input_proj"][level]
            return Projection(
                convolution: try Conv2D(
                    projection[0], inputChannels: inputChannels, outputChannels: width, geometry: geometry,
                    precision: precision),
                norm: try GroupNorm(projection[1], groups: Configuration.normalizationGroups, channels: width))
        }
    }

    /// - Parameters:
    ///   - features: the backbone's maps, largest first.
    ///   - batch: the images that they come from.
    /// - Returns: `[N, S, C]`.
    func callAsFunction(_ features: [FeatureMap], of batch: ImageBatch) -> FeatureSequence {
        project(features, of: batch) { projection, input, values, start in
            let map = projection.convolution(input)
            projection.norm(map, into: &values, at: start)
            return map.validSizes
        }
    }

    /// - Parameter run: convolves and normalises one level's input, writes it to the sequence from a row on, and says which
    ///   part of each image's map is valid.
    func project(
        _ features: [FeatureMap], of batch: ImageBatch,
        run: (_ projection: Projection, _ input: FeatureMap, _ values: inout Tensor, _ start: Int) -> [ValidSize]
    ) -> FeatureSequence {
        precondition(features.count == taps, "\(features.count) maps for \(taps) projections")
        let layout = layout(of: features)
        var values = Tensor(uninitialized: [features[0].images, layout.count, width])
        // [L][N]
        var validSizes: [[ValidSize]] = []
        for (level, projection) in projections.enumerated() {
            let input =
                if let tap = tap(of: level) {
                    features[tap]
                } else {
                    // Only with two or more added levels: the one before, as it was just normalised.
                    FeatureMap(
                        values: values.map(ofLevel: level - 1, in: layout), validSizes: validSizes[level - 1])
                }
            validSizes.append(run(projection, input, &values, layout.starts[level]))
        }
        return FeatureSequence(
            values: values, layout: layout,
            validSizes: (0..<batch.images).map { image in
                switch batch.paddingRule {
                case .excluded: validSizes.map { $0[image] }
                case .asInReference: layout.sizes.map { batch.nearestValidSize(of: image, at: $0) }
                }
            })
    }

    /// Which of the backbone's maps a level is projected from; nil for the level before it.
    func tap(of level: Int) -> Int? { level <= taps ? min(level, taps - 1) : nil }

    /// The sizes of all levels for the backbone's maps.
    private func layout(of features: [FeatureMap]) -> LevelLayout {
        var sizes = features.map { ValidSize(height: $0.height, width: $0.width) }
        for projection in projections.dropFirst(taps) {
            guard let last = sizes.last else { break }
            let geometry = projection.convolution.geometry
            sizes.append(
                ValidSize(
                    height: geometry.outputExtent(of: last.height), width: geometry.outputExtent(of: last.width)))
        }
        return LevelLayout(sizes)
    }
}
