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

    /// How the last of the backbone's maps is to lie in memory.
    var lastInput: Encoding { projections[taps - 1].convolution.input }

    /// - Parameters:
    ///   - features: the backbone's maps, largest first.
    ///   - batch: the images that they come from.
    /// - Returns: `[N, S, C]`.
    func callAsFunction(_ features: [FactorMap], of batch: ImageBatch) -> FeatureSequence {
        let sizes = features.map { ValidSize(height: $0.height, width: $0.width) }
        return project(sizes, of: batch) { projection, source, values, start in
            var input =
                switch source {
                case .tap(let tap): features[tap].converted(to: projection.convolution.input)
                case .level(let level): FactorMap(level, encoding: projection.convolution.input)
                }
            if projection.convolution.geometry.kernel > 1 { input.clearPadding() }
            let map = FeatureMap(
                values: projection.convolution(input.values),
                validSizes: projection.convolution.outputSizes(of: input.validSizes))
            projection.norm(map, into: &values, at: start)
            return map.validSizes
        }
    }

    /// What a level is projected from.
    enum Source {
        /// One of the backbone's maps.
        case tap(Int)
        /// The level before, as it was just normalised.
        case level(FeatureMap)
    }

    /// - Parameters:
    ///   - sizes: of the backbone's maps.
    ///   - run: convolves and normalises one level's input, writes it to the sequence from a row on, and says which part of
    ///     each image's map is valid.
    func project(
        _ sizes: [ValidSize], of batch: ImageBatch,
        run: (_ projection: Projection, _ source: Source, _ values: inout Tensor, _ start: Int) -> [ValidSize]
    ) -> FeatureSequence {
        precondition(sizes.count == taps, "\(sizes.count) maps for \(taps) projections")
        let layout = layout(of: sizes)
        var values = Tensor(uninitialized: [batch.images, layout.count, width])
        // [L][N]
        var validSizes: [[ValidSize]] = []
        for (level, projection) in projections.enumerated() {
            let source: Source =
                if let tap = tap(of: level) {
                    .tap(tap)
                } else {
                    // Only with two or more added levels.
                    .level(
                        FeatureMap(
                            values: values.map(ofLevel: level - 1, in: layout), validSizes: validSizes[level - 1]))
                }
            validSizes.append(run(projection, source, &values, layout.starts[level]))
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

    /// The sizes of all levels for those of the backbone's maps.
    private func layout(of maps: [ValidSize]) -> LevelLayout {
        var sizes = maps
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
