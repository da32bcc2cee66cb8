import Checkpoint
import Layers
import Tensors

/// The deformable attention of "Vision Transformer with Deformable Attention", over 1, 2 or 3 spatial axes.
///
/// Every position of a map x asks the same few samples of it, and the samples move to where there is something to see:
///
///     q = W_q x                                     queries, [S, M * D]
///     u = grid + s tanh(W_2 gelu(W_1 * q))          places of the samples, for each of G groups; W_1 has stride r
///     v = 2 u / (n' - 1) - 1                        the same in -1...1
///     z = x sampled at v, linearly, zeros outside   [P, C]
///     k, v = W_k z, W_v z                           keys and values, [P, M * D]
///     y = W_o softmax(q k^T / sqrt(D) + b(p_q - v)) v + b_o
///
/// for M heads of D channels, S positions, and P = n' * n'... samples, n' = extent / r along each axis. The position bias b is a
/// network of two hidden layers over `sign(d) ln(|d| + 1)` for the distance d of a query's position and a key's.
/// ``Configuration`` has the options, ``Geometry`` says how the package's arithmetic differs from this on maps that are not
/// square.
///
/// A sample whose place is NaN or infinite is zero, so that one bad number of the input or of the offset network does not show in
/// every output, as it does in the package.
///
/// Activations have their channels last: `[N, length, C]`, `[N, H, W, C]` or `[N, F, H, W, C]` (frames, rows, columns).
///
/// ```swift
/// var configuration = DeformableMultiHeadAttention.Configuration(rank: 2, width: 64)
/// configuration.heads = 4
/// configuration.offsetGroups = 2
/// var random = SystemRandomNumberGenerator()
/// let parameters = try DeformableMultiHeadAttention.initialParameters(
///     configuration: configuration, using: &random)
/// let attention = try DeformableMultiHeadAttention(WeightCursor(parameters), configuration: configuration)
/// // [1, 16, 24, 64] and [1, 2, 4, 6, 2]
/// let (output, grid) = try attention.withSamplingGrid(Tensor([1, 16, 24, 64], repeating: 0.5))
/// ```
///
/// Gradients have the parameters' full names, the cursor's path included.
///
/// - Source: arXiv 2201.00520, section 3.2; `DeformableAttention1D/2D/3D` of the Python package deformable-attention 0.0.20, whose
///   state dict is what is read.
public struct DeformableMultiHeadAttention: Sendable {
    /// As given, but for an offset scale that the checkpoint stores.
    public let configuration: Configuration
    let queryProjection: GroupedProjection
    let keyProjection: GroupedProjection
    let valueProjection: GroupedProjection
    let outputProjection: GroupedProjection
    let offsetNetwork: OffsetNetwork
    let attention: BiasedAttention

    /// Reads the package's state dict.
    ///
    /// With I = M * D, n axes and ones for the extents of kernels of one position: `to_q.weight`, `to_k.weight` and `to_v.weight`
    /// `[I, C / G, 1...]` (grouped) or `[I, C, 1...]`, `to_offsets.0.weight` `[I / G, 1, k...]` and `.bias` `[I / G]`,
    /// `to_offsets.2.weight` `[n, I / G, 1...]`, `rel_pos_bias.mlp.0.0.weight` `[C / 4, n]`, `rel_pos_bias.mlp.1.0.weight`
    /// `[C / 4, C / 4]`, `rel_pos_bias.mlp.2.weight` `[M / G, C / 4]`, each with a bias, `to_out.weight` `[C, I, 1...]` and
    /// `.bias` `[C]`; in 3-D also `to_offsets.4.scale` `[3]`, which replaces the configuration's offset scale if it is there.
    ///
    /// - Throws: ``DeformableAttentionError/configuration(_:)``, and the cursor's `CheckpointError` for a tensor that is missing
    ///   or misshaped.
    public init(_ cursor: WeightCursor, configuration: Configuration) throws {
        try configuration.validate()
        var configuration = configuration
        if configuration.rank == 3, cursor["to_offsets"][4].contains("scale") {
            configuration.offsetScale = try cursor["to_offsets"][4].tensor("scale", [3]).elements
        }
        self.configuration = configuration
        let (width, innerWidth, rank) = (configuration.width, configuration.innerWidth, configuration.rank)
        let queryGroups = configuration.groupsQueries ? configuration.offsetGroups : 1
        let sampleGroups = configuration.groupsKeysAndValues ? configuration.offsetGroups : 1
        queryProjection = try GroupedProjection(
            cursor["to_q"], inputWidth: width, outputWidth: innerWidth, groups: queryGroups, rank: rank)
        keyProjection = try GroupedProjection(
            cursor["to_k"], inputWidth: width, outputWidth: innerWidth, groups: sampleGroups, rank: rank)
        valueProjection = try GroupedProjection(
            cursor["to_v"], inputWidth: width, outputWidth: innerWidth, groups: sampleGroups, rank: rank)
        outputProjection = try GroupedProjection(
            cursor["to_out"], inputWidth: innerWidth, outputWidth: width, rank: rank, hasBias: true)
        offsetNetwork = try OffsetNetwork(
            cursor["to_offsets"], configuration: configuration,
            scale: configuration.geometry.components(rank: rank).map { configuration.offsetScale[$0.axis] })
        attention = try BiasedAttention(
            cursor["rel_pos_bias"], heads: configuration.heads, headWidth: configuration.headWidth,
            groups: configuration.offsetGroups, rank: rank, hiddenWidth: configuration.biasWidth,
            usesLogDistance: configuration.usesLogDistance)
    }

    /// - Parameter input: `[N, length, C]`, `[N, H, W, C]` or `[N, F, H, W, C]`; each extent at least the downsampling of its axis.
    /// - Returns: the input's shape.
    /// - Throws: ``DeformableAttentionError/input(_:)``.
    public func callAsFunction(_ input: Tensor) throws -> Tensor {
        try withSamplingGrid(input).output
    }

    /// Also tells where the samples lie (`return_vgrid` of the package).
    ///
    /// - Parameter input: as in ``callAsFunction(_:)``.
    /// - Returns: the output, and the grid `[N, G, n'..., n]` in steps of the sampled grid: an unmoved sample has whole coordinates.
    ///   Their order is the package's: 1-D (position), 2-D (x, y), 3-D (frame, row, column).
    /// - Throws: ``DeformableAttentionError/input(_:)``.
    public func withSamplingGrid(_ input: Tensor) throws -> (output: Tensor, grid: Tensor) {
        let layout = try configuration.layout(of: input.shape)
        let gridShape = gridShape(layout)
        if layout.images == 0 { return (input, Tensor(gridShape)) }
        let map = input.reshaped(mapShape(layout))
        let grid = SamplingGrid(layout, geometry: configuration.geometry)

        let queries = queryProjection(map)
        let places = grid.places(offsets: offsetNetwork(queries, layout: layout))
        let locations = grid.locations(places: places)
        let samples = GridSampling(grid)(map, at: locations)
        let attended = attention(
            BiasedAttention.Operands(
                queries: queries, keys: keyProjection(samples), values: valueProjection(samples),
                queryPositions: grid.queryPositions, keyPositions: locations))
        return (outputProjection(attended).reshaped(input.shape), places.reshaped(gridShape))
    }

    /// `[N, S, C]`
    private func mapShape(_ layout: GridLayout) -> Shape { [layout.images, layout.positions, configuration.width] }

    private func gridShape(_ layout: GridLayout) -> Shape {
        Shape([layout.images, configuration.offsetGroups] + layout.sampledExtents + [layout.rank])
    }
}

extension DeformableMultiHeadAttention {
    /// The output, and how a gradient flows back through it: to the input, directly and through the queries and the places of the
    /// samples, and to every parameter. An empty batch adds no gradients.
    ///
    /// - Parameters:
    ///   - input: as in ``callAsFunction(_:)``.
    ///   - dropoutSeed: drops attention weights as the configuration says, the same ones for the same seed; nil for none.
    /// - Throws: ``DeformableAttentionError/input(_:)``.
    public func withPullback(_ input: Tensor, dropoutSeed: UInt64?) throws -> (output: Tensor, pullback: Pullback) {
        let layout = try configuration.layout(of: input.shape)
        if layout.images == 0 {
            return (
                input,
                { outputGradient, _ in
                    precondition(
                        outputGradient.shape == input.shape, "gradient \(outputGradient.shape) of \(input.shape)")
                    return outputGradient
                }
            )
        }
        let map = input.reshaped(mapShape(layout))
        let grid = SamplingGrid(layout, geometry: configuration.geometry)

        let (queries, queryPullback) = queryProjection.withPullback(map)
        let (offsets, offsetPullback) = offsetNetwork.withPullback(queries, layout: layout)
        let locations = grid.locations(places: grid.places(offsets: offsets))
        let (samples, samplingPullback) = GridSampling(grid).withPullback(map, at: locations)
        let (keys, keyPullback) = keyProjection.withPullback(samples)
        let (values, valuePullback) = valueProjection.withPullback(samples)
        let (attended, attentionPullback) = attention.withPullback(
            BiasedAttention.Operands(
                queries: queries, keys: keys, values: values, queryPositions: grid.queryPositions,
                keyPositions: locations),
            dropout: dropout(seed: dropoutSeed))
        let (output, outputPullback) = outputProjection.withPullback(attended)
        return (
            output.reshaped(input.shape),
            { outputGradient, gradients in
                precondition(
                    outputGradient.shape == input.shape, "gradient \(outputGradient.shape) of \(input.shape)")
                let attendedGradient = outputPullback(outputGradient.reshaped(map.shape), &gradients)
                let attentionGradients = attentionPullback(attendedGradient, &gradients)
                let sampleGradient = keyPullback(attentionGradients.keys, &gradients)
                    .adding(valuePullback(attentionGradients.values, &gradients))
                let sampled = samplingPullback(sampleGradient)
                let offsetGradient = grid.offsetGradient(
                    locationGradient: sampled.locations.adding(attentionGradients.keyPositions))
                let queryGradient = offsetPullback(offsetGradient, &gradients).adding(attentionGradients.queries)
                return queryPullback(queryGradient, &gradients).adding(sampled.input).reshaped(input.shape)
            }
        )
    }

    private func dropout(seed: UInt64?) -> Dropout? {
        guard let seed, configuration.dropout > 0 else { return nil }
        return Dropout(probability: configuration.dropout, seed: seed)
    }
}

extension GridSampling {
    /// The sampler of a grid's map.
    fileprivate init(_ grid: SamplingGrid) {
        self.init(extents: grid.layout.inputExtents, axes: grid.components.map(\.sampledAxis))
    }
}
