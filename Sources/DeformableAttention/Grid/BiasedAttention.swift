import CKernels
import Checkpoint
import Layers
import Tensors

/// Multi-head attention whose scores get a continuous position bias: `softmax(q k^T / sqrt(D) + b(p_q - p_k)) v`.
///
/// Scores exist for a tile of queries at a time, so memory does not grow with queries times keys.
///
/// Letters: N images, G groups, M heads, D channels of a head, I queries, J keys, n axes, O = M / G heads of a group.
///
/// - Source: "Vision Transformer with Deformable Attention" (arXiv 2201.00520), equation 8, with the bias of
///   deformable-attention 0.0.20.
package struct BiasedAttention: Sendable {
    let heads: Int
    let headWidth: Int
    let groups: Int
    let bias: PositionBias

    /// The places of queries and keys, and what is attended.
    package struct Operands: Sendable {
        /// `[N, I, M * D]`, unscaled.
        package var queries: Tensor
        /// `[N, J, M * D]`
        package var keys: Tensor
        /// `[N, J, M * D]`
        package var values: Tensor
        /// `[I, n]`, the same for all images and groups; normalised to -1...1.
        package var queryPositions: Tensor
        /// `[N, G, J, n]`, normalised like the queries'; heads g * M / G ..< (g + 1) * M / G share those of group g.
        package var keyPositions: Tensor

        package init(queries: Tensor, keys: Tensor, values: Tensor, queryPositions: Tensor, keyPositions: Tensor) {
            self.queries = queries
            self.keys = keys
            self.values = values
            self.queryPositions = queryPositions
            self.keyPositions = keyPositions
        }
    }

    /// Reads `mlp.0.0`, `mlp.1.0` and `mlp.2`, the position bias.
    package init(
        _ cursor: WeightCursor, heads: Int, headWidth: Int, groups: Int, rank: Int, hiddenWidth: Int,
        usesLogDistance: Bool
    ) throws {
        precondition(groups > 0 && heads % groups == 0, "\(heads) heads in \(groups) groups")
        self.heads = heads
        self.headWidth = headWidth
        self.groups = groups
        bias = try PositionBias(
            cursor, rank: rank, hiddenWidth: hiddenWidth, outputs: heads / groups, usesLogDistance: usesLogDistance)
    }

    /// - Returns: `[N, I, M * D]`.
    package func callAsFunction(_ operands: Operands, dropout: Dropout? = nil) -> Tensor {
        let plan = AttentionPlan(operands, of: self, pairsInTile: 16384)
        var output = Tensor(uninitialized: operands.queries.shape)
        output.withMutableElements { output in
            guard let output = output.baseAddress else { return }
            Parallel.forRanges(plan.images * groups * plan.tiles) { range in
                var workspace = bias.workspace()
                var weights = Tensor(uninitialized: [plan.groupHeads, plan.tileQueries, plan.keys])
                weights.withMutableElements { weights in
                    guard let weights = weights.baseAddress else { return }
                    for number in range {
                        let tile = plan.tile(number)
                        plan.attentionWeights(of: tile, bias: bias, into: weights, in: &workspace)
                        if let dropout { plan.drop(dropout, from: weights, of: tile) }
                        withExtendedLifetime(operands) {
                            plan.mapTimesKeys(of: tile).run(
                                left: weights, right: operands.values.pointer + tile.keyOffset,
                                into: output + tile.queryOffset)
                        }
                    }
                }
            }
        }
        return output
    }
}

/// How one call's attention is cut into tiles: some queries of one image and group, with all keys.
struct AttentionPlan {
    let operands: BiasedAttention.Operands
    let images: Int
    let groups: Int
    let groupHeads: Int
    let headWidth: Int
    let queries: Int
    let keys: Int
    /// Queries of a tile; the last one of a group may have fewer.
    let tileQueries: Int
    /// Tiles of each image and group.
    let tiles: Int

    struct Tile {
        let image: Int
        let group: Int
        let queries: Range<Int>
        /// Where the tile's queries and its group's keys begin, in elements.
        let queryOffset: Int
        let keyOffset: Int
        let keyPositionOffset: Int
    }

    /// - Parameter pairsInTile: about how many pairs of query and key a tile has; it has at least one query.
    init(_ operands: BiasedAttention.Operands, of attention: BiasedAttention, pairsInTile: Int) {
        let width = attention.heads * attention.headWidth
        let shape = operands.queries.shape
        let keyShape = operands.keys.shape
        precondition(
            shape.rank == 3 && keyShape.rank == 3 && shape[2] == width && keyShape[2] == width
                && keyShape[0] == shape[0] && operands.values.shape == keyShape,
            "queries \(shape), keys \(keyShape), values \(operands.values.shape), expected [N, ..., \(width)]")
        precondition(
            operands.queryPositions.shape == [shape[1], attention.bias.rank]
                && operands.keyPositions.shape == [shape[0], attention.groups, keyShape[1], attention.bias.rank],
            "positions \(operands.queryPositions.shape) of queries \(shape), \(operands.keyPositions.shape) of keys \(keyShape)"
        )
        precondition(keyShape[1] > 0, "attention to no key")
        self.operands = operands
        images = shape[0]
        groups = attention.groups
        groupHeads = attention.heads / attention.groups
        headWidth = attention.headWidth
        queries = shape[1]
        keys = keyShape[1]
        tileQueries = max(1, min(queries, pairsInTile / keys))
        tiles = (queries + tileQueries - 1) / tileQueries
    }

    private var width: Int { groups * groupHeads * headWidth }

    /// Tiles are counted group by group, image by image.
    func tile(_ number: Int) -> Tile {
        let group = number / tiles % groups
        let image = number / tiles / groups
        let first = number % tiles * tileQueries
        let channel = group * groupHeads * headWidth
        return Tile(
            image: image, group: group, queries: first..<min(queries, first + tileQueries),
            queryOffset: (image * queries + first) * width + channel, keyOffset: image * keys * width + channel,
            keyPositionOffset: (image * groups + group) * keys * operands.queryPositions.shape.last)
    }

    /// The softmax over the keys, `[O, queries, J]`.
    func attentionWeights(
        of tile: Tile, bias: PositionBias, into weights: UnsafeMutablePointer<Float>,
        in workspace: inout PositionBias.Workspace
    ) {
        withExtendedLifetime(operands) {
            queriesTimesKeys(of: tile).run(
                left: operands.queries.pointer + tile.queryOffset, right: operands.keys.pointer + tile.keyOffset,
                into: weights)
            bias.addBias(to: weights, scale: scale, of: pairs(of: tile), in: &workspace)
        }
        rows_softmax(Int64(groupHeads * tile.queries.count), Int64(keys), 1, weights)
    }

    var scale: Float { 1 / Float(headWidth).squareRoot() }

    /// Valid while the operands live.
    func pairs(of tile: Tile) -> PositionBias.Pairs {
        PositionBias.Pairs(
            queryPositions: operands.queryPositions.pointer
                + tile.queries.lowerBound * operands.queryPositions.shape.last,
            keyPositions: operands.keyPositions.pointer + tile.keyPositionOffset, queries: tile.queries.count,
            keys: keys)
    }

    /// Applies the dropout to values `[O, queries, J]`; the same elements fall whatever the tiles are.
    func drop(_ dropout: Dropout, from values: UnsafeMutablePointer<Float>, of tile: Tile) {
        let count = tile.queries.count * keys
        for head in 0..<groupHeads {
            let row = ((tile.image * groups + tile.group) * groupHeads + head) * queries + tile.queries.lowerBound
            rows_drop_out(
                Int64(count), dropout.probability, dropout.seed, UInt64(row) &* UInt64(keys), values + head * count,
                nil,
                values + head * count)
        }
    }
}

// The products of a tile, one matrix a head. Queries and everything like them are `[queries, M, D]` in memory, keys and
// values `[J, M, D]`, scores `[O, queries, J]`.
extension AttentionPlan {
    private var interleaved: Product.Strides { [0, Int64(headWidth), Int64(width), 1] }
    private var interleavedTransposed: Product.Strides { [0, Int64(headWidth), 1, Int64(width)] }
    private func map(_ tile: Tile) -> Product.Strides { [0, Int64(tile.queries.count * keys), Int64(keys), 1] }
    private func mapTransposed(_ tile: Tile) -> Product.Strides {
        [0, Int64(tile.queries.count * keys), 1, Int64(keys)]
    }

    /// `[queries, D] [D, J]`: scores from queries and keys.
    func queriesTimesKeys(of tile: Tile) -> Product {
        Product(
            batches: (1, groupHeads), rows: tile.queries.count, inner: headWidth, columns: keys,
            leftStrides: interleaved, rightStrides: interleavedTransposed, resultStrides: map(tile),
            runsOnOneThread: true)
    }

    /// `[queries, J] [J, D]`: outputs from attention weights and values.
    func mapTimesKeys(of tile: Tile) -> Product {
        Product(
            batches: (1, groupHeads), rows: tile.queries.count, inner: keys, columns: headWidth,
            leftStrides: map(tile), rightStrides: interleaved, resultStrides: interleaved, runsOnOneThread: true)
    }

    /// `[J, queries] [queries, D]`, added up: gradients of keys and values, which lie `[J, O, D]`.
    func addedTransposedMapTimesQueries(of tile: Tile) -> Product {
        Product(
            batches: (1, groupHeads), rows: keys, inner: tile.queries.count, columns: headWidth,
            leftStrides: mapTransposed(tile), rightStrides: interleaved,
            resultStrides: [0, Int64(headWidth), Int64(groupHeads * headWidth), 1], accumulates: true,
            runsOnOneThread: true)
    }
}
