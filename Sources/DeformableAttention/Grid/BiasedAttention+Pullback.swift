import CKernels
import Layers
import Tensors

extension BiasedAttention {
    /// The gradients of ``Operands``, shaped like them; query positions are a fixed grid and have none.
    package struct OperandGradients: Sendable {
        package var queries: Tensor
        package var keys: Tensor
        package var values: Tensor
        package var keyPositions: Tensor
    }

    /// The output, and how its gradient flows back to the operands and the bias's parameters.
    ///
    /// Attention weights are computed again on the way back, tile by tile. With `A` the weights and `dO` the output's gradient:
    /// `dV = A^T dO`, `dA = dO V^T`, `dS = A (dA - sum over keys of A dA)`, `dQ = dS K / sqrt(D)`, `dK = dS^T Q / sqrt(D)`.
    package func withPullback(_ operands: Operands, dropout: Dropout?) -> (
        output: Tensor, pullback: @Sendable (_ outputGradient: Tensor, _ gradients: inout Gradients) -> OperandGradients
    ) {
        (
            self(operands, dropout: dropout),
            { outputGradient, gradients in
                backward(operands, dropout: dropout, outputGradient: outputGradient, to: &gradients)
            }
        )
    }

    /// Key, value and bias gradients are sums over all queries. They are summed in a fixed number of parts, so that the result
    /// is the same for any number of threads.
    private static let wantedParts = 32

    private func backward(
        _ operands: Operands, dropout: Dropout?, outputGradient: Tensor, to gradients: inout Gradients
    ) -> OperandGradients {
        // Few pairs, since the bias's hidden channels of a whole tile are kept.
        let plan = AttentionPlan(operands, of: self, pairsInTile: 1024)
        precondition(outputGradient.shape == operands.queries.shape, "gradient \(outputGradient.shape)")
        let partsOfGroup = min(plan.tiles, max(1, Self.wantedParts / max(1, plan.images * groups)))
        let parts = plan.images * groups * partsOfGroup
        var queryGradient = Tensor(uninitialized: operands.queries.shape)
        let length = GradientSums.count(plan, bias: bias)
        var sums = Tensor(uninitialized: [parts, length])
        queryGradient.withMutableElements { queryGradient in
            sums.withMutableElements { sums in
                guard let queryGradient = queryGradient.baseAddress, let sums = sums.baseAddress else { return }
                Parallel.forRanges(parts) { range in
                    let pass = BackwardPass(plan: plan, bias: bias, dropout: dropout)
                    for part in range {
                        let group = part / partsOfGroup
                        let share = part % partsOfGroup
                        let tiles = plan.tiles * share / partsOfGroup..<plan.tiles * (share + 1) / partsOfGroup
                        pass.run(
                            tiles.map { plan.tile(group * plan.tiles + $0) }, outputGradient: outputGradient,
                            queries: queryGradient,
                            sums: GradientSums(sums + part * length, plan: plan, bias: bias))
                    }
                }
            }
        }
        return collect(sums, plan, partsOfGroup: partsOfGroup, queries: queryGradient, to: &gradients)
    }

    /// Adds up the parts in their order and puts each kind of gradient into its place.
    private func collect(
        _ sums: Tensor, _ plan: AttentionPlan, partsOfGroup: Int, queries: Tensor, to gradients: inout Gradients
    ) -> OperandGradients {
        let (keyCount, positionCount) = (GradientSums.keyCount(plan), GradientSums.positionCount(plan))
        var keys = Tensor(uninitialized: plan.operands.keys.shape)
        var values = Tensor(uninitialized: plan.operands.keys.shape)
        var positions = Tensor(uninitialized: plan.operands.keyPositions.shape)
        let operandColumns = sums.columns(0..<2 * keyCount + positionCount)
        let groupWidth = plan.groupHeads * headWidth
        keys.withMutableElements { keys in
            values.withMutableElements { values in
                positions.withMutableElements { positions in
                    for group in 0..<plan.images * groups {
                        let total =
                            operandColumns.rows(group * partsOfGroup..<(group + 1) * partsOfGroup).columnSums()
                        total.withElements { total in
                            for key in 0..<plan.keys {
                                let row = group / groups * plan.keys + key
                                let target = (row * groups + group % groups) * groupWidth
                                for channel in 0..<groupWidth {
                                    keys[target + channel] = total[key * groupWidth + channel] * plan.scale
                                    values[target + channel] = total[keyCount + key * groupWidth + channel]
                                }
                            }
                            for index in 0..<positionCount {
                                positions[group * positionCount + index] = total[2 * keyCount + index]
                            }
                        }
                    }
                }
            }
        }
        let biasColumns = sums.columns(2 * keyCount + positionCount..<sums.shape[1])
        bias.add(biasColumns.columnSums(), to: &gradients)
        return OperandGradients(queries: queries, keys: keys, values: values, keyPositions: positions)
    }
}

/// Where one part of the work sums its gradients: keys `[J, O, D]` (still to be scaled), values `[J, O, D]`, key positions
/// `[J, n]`, the bias's parameters.
private struct GradientSums {
    let keys: UnsafeMutablePointer<Float>
    let values: UnsafeMutablePointer<Float>
    let keyPositions: UnsafeMutablePointer<Float>
    let parameters: UnsafeMutablePointer<Float>

    static func keyCount(_ plan: AttentionPlan) -> Int { plan.keys * plan.groupHeads * plan.headWidth }
    static func positionCount(_ plan: AttentionPlan) -> Int { plan.keys * plan.operands.queryPositions.shape.last }

    static func count(_ plan: AttentionPlan, bias: PositionBias) -> Int {
        2 * keyCount(plan) + positionCount(plan) + bias.gradientCount
    }

    /// All zero, in memory of ``count(_:bias:)`` elements.
    init(_ start: UnsafeMutablePointer<Float>, plan: AttentionPlan, bias: PositionBias) {
        start.update(repeating: 0, count: Self.count(plan, bias: bias))
        keys = start
        values = keys + Self.keyCount(plan)
        keyPositions = values + Self.keyCount(plan)
        parameters = keyPositions + Self.positionCount(plan)
    }
}

/// The way back through some tiles on one thread.
private struct BackwardPass {
    let plan: AttentionPlan
    let bias: PositionBias
    let dropout: Dropout?

    /// - Parameters:
    ///   - outputGradient: `[N, I, M * D]`.
    ///   - queries: where the tiles' part of the same is written.
    func run(
        _ tiles: [AttentionPlan.Tile], outputGradient: Tensor, queries: UnsafeMutablePointer<Float>, sums: GradientSums
    ) {
        var workspace = bias.workspace(keepingPairs: plan.tileQueries * plan.keys)
        let mapCount = plan.groupHeads * plan.tileQueries * plan.keys
        var maps = Tensor(uninitialized: [3, mapCount])
        maps.withMutableElements { maps in
            guard let maps = maps.baseAddress else { return }
            withExtendedLifetime((outputGradient, plan.operands)) {
                for tile in tiles {
                    goBack(
                        tile, outputGradient: outputGradient.pointer + tile.queryOffset,
                        queries: queries + tile.queryOffset, weights: maps, gradient: maps + mapCount,
                        dropped: maps + 2 * mapCount, sums: sums, in: &workspace)
                }
            }
        }
    }

    /// `weights`, their `gradient` and the weights that dropout left are memory for `[O, queries, J]` each.
    private func goBack(
        _ tile: AttentionPlan.Tile, outputGradient: UnsafePointer<Float>, queries: UnsafeMutablePointer<Float>,
        weights: UnsafeMutablePointer<Float>, gradient: UnsafeMutablePointer<Float>,
        dropped: UnsafeMutablePointer<Float>, sums: GradientSums, in workspace: inout PositionBias.Workspace
    ) {
        let rows = plan.groupHeads * tile.queries.count
        let operands = plan.operands
        plan.attentionWeights(of: tile, bias: bias, into: weights, in: &workspace)
        plan.queriesTimesKeys(of: tile).run(
            left: outputGradient, right: operands.values.pointer + tile.keyOffset, into: gradient)
        var used = weights
        if let dropout {
            dropped.update(from: weights, count: rows * plan.keys)
            plan.drop(dropout, from: dropped, of: tile)
            plan.drop(dropout, from: gradient, of: tile)
            used = dropped
        }
        plan.addedTransposedMapTimesQueries(of: tile).run(left: used, right: outputGradient, into: sums.values)
        rows_softmax_gradient(Int64(rows), Int64(plan.keys), weights, gradient)
        plan.mapTimesKeys(of: tile).run(
            left: gradient, right: operands.keys.pointer + tile.keyOffset, into: queries)
        scale(queries, of: tile)
        plan.addedTransposedMapTimesQueries(of: tile).run(
            left: gradient, right: operands.queries.pointer + tile.queryOffset, into: sums.keys)
        bias.backward(
            gradient, of: plan.pairs(of: tile), in: &workspace, parameters: sums.parameters, keys: sums.keyPositions)
    }

    /// `dQ = dS K / sqrt(D)`: the division.
    private func scale(_ queries: UnsafeMutablePointer<Float>, of tile: AttentionPlan.Tile) {
        let width = plan.groups * plan.groupHeads * plan.headWidth
        for row in 0..<tile.queries.count {
            for channel in 0..<plan.groupHeads * plan.headWidth { queries[row * width + channel] *= plan.scale }
        }
    }
}
