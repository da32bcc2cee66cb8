import CKernels
import Checkpoint
import Layers
import Tensors

/// The continuous position bias: a network of three layers from the distance between a query and a key to one number a head.
///
/// `b(d) = W3 relu(W2 relu(W1 f(d) + b1) + b2) + b3` with `f(d) = sign(d) ln(|d| + 1)` on each axis, or d itself. It runs for
/// every pair of query and key, so it is not computed as a tensor but in tiles that stay in a core's cache.
///
/// Letters: n axes, H hidden channels, O outputs, J keys.
///
/// - Source: "Swin Transformer V2" (arXiv 2111.09883), section 3.3; class CPB of deformable-attention 0.0.20.
struct PositionBias: Sendable {
    let rank: Int
    let hiddenWidth: Int
    /// Heads that share a group's keys.
    let outputs: Int
    private let usesLogDistance: Bool
    /// `[n, H]`, transposed so that a channel's neighbours lie side by side.
    private let firstWeight: Tensor
    private let firstBias: Tensor
    private let middle: Linear
    /// `[H, H]` as the checkpoint has it.
    private let middleWeight: Tensor
    private let lastWeight: Tensor
    private let lastBias: Tensor
    private let path: String

    /// Reads `mlp.0.0` `[H, n]`, `mlp.1.0` `[H, H]` and `mlp.2` `[O, H]`, each with its bias.
    init(_ cursor: WeightCursor, rank: Int, hiddenWidth: Int, outputs: Int, usesLogDistance: Bool) throws {
        precondition((1...Int(position_bias_maximum_rank)).contains(rank), "\(rank) axes")
        self.rank = rank
        self.hiddenWidth = hiddenWidth
        self.outputs = outputs
        self.usesLogDistance = usesLogDistance
        let layers = cursor["mlp"]
        path = layers.path
        firstWeight = try layers[0][0].tensor("weight", [hiddenWidth, rank]).transposed()
        firstBias = try layers[0][0].tensor("bias", [hiddenWidth])
        middle = try Linear(layers[1][0], inputWidth: hiddenWidth, outputWidth: hiddenWidth)
        middleWeight = try layers[1][0].tensor("weight", [hiddenWidth, hiddenWidth])
        lastWeight = try layers[2].tensor("weight", [outputs, hiddenWidth])
        lastBias = try layers[2].tensor("bias", [outputs])
    }

    /// How many pairs a tile takes, so that two layers of hidden channels fit into half a megabyte.
    private var tileRows: Int { max(16, min(1024, (1 << 16) / hiddenWidth / 16 * 16)) }

    /// The pairs of some queries with all keys of a group, query by query.
    struct Pairs {
        /// `[queries, n]`
        let queryPositions: UnsafePointer<Float>
        /// `[J, n]`
        let keyPositions: UnsafePointer<Float>
        let queries: Int
        let keys: Int

        var count: Int { queries * keys }
    }

    /// A thread's memory.
    struct Workspace {
        /// Whether the hidden channels of all pairs are kept for a backward, and not those of the last tile only.
        fileprivate let keepsAll: Bool
        /// The outputs of the first and of the middle layer, `[pairs, H]` each.
        fileprivate var first: Tensor
        fileprivate var middle: Tensor
        /// Their gradients, `[tile, H]` each.
        fileprivate var firstGradient: Tensor
        fileprivate var middleGradient: Tensor
        /// Compiled for whole tiles and for what remains of each number of pairs.
        fileprivate var tiles: [Int: LinearTile] = [:]
    }

    /// Memory for sets of pairs, on one thread.
    ///
    /// - Parameter keepingPairs: the most pairs of a set that ``backward(_:of:in:parameters:keys:)`` shall follow; nil for none.
    func workspace(keepingPairs: Int? = nil) -> Workspace {
        func buffer(_ rows: Int) -> Tensor { Tensor(uninitialized: [rows, hiddenWidth]) }
        let rows = keepingPairs ?? tileRows
        let gradientRows = keepingPairs == nil ? 0 : tileRows
        return Workspace(
            keepsAll: keepingPairs != nil, first: buffer(rows), middle: buffer(rows),
            firstGradient: buffer(gradientRows), middleGradient: buffer(gradientRows))
    }

    /// `scores = scores * scale + b(query - key)`, `[O, queries, J]`.
    func addBias(
        to scores: UnsafeMutablePointer<Float>, scale: Float, of pairs: Pairs, in workspace: inout Workspace
    ) {
        withParameters(of: pairs) { parameters in
            for start in stride(from: 0, to: pairs.count, by: tileRows) {
                let rows = min(tileRows, pairs.count - start)
                let offset = (workspace.keepsAll ? start : 0) * hiddenWidth
                let tile = workspace.tiles[rows] ?? middle.tile(rows: rows, activation: .relu)
                workspace.tiles[rows] = tile
                workspace.first.withMutableElements { first in
                    workspace.middle.withMutableElements { middle in
                        guard let first = first.baseAddress, let middle = middle.baseAddress else { return }
                        position_bias_first_layer(parameters, Int64(start), Int64(rows), first + offset)
                        tile(first + offset, into: middle + offset)
                        position_bias_last_layer(
                            parameters, Int64(rows), middle + offset, scale, scores + start, Int64(pairs.count))
                    }
                }
            }
        }
    }

    private func withParameters(of pairs: Pairs, _ body: (UnsafePointer<position_bias>) -> Void) {
        withExtendedLifetime((firstWeight, firstBias, lastWeight, lastBias)) {
            let parameters = position_bias(
                rank: Int64(rank), hidden: Int64(hiddenWidth), outputs: Int64(outputs), keys: Int64(pairs.keys),
                uses_log_distance: usesLogDistance ? 1 : 0, query_positions: pairs.queryPositions,
                key_positions: pairs.keyPositions, first_weight: firstWeight.pointer, first_bias: firstBias.pointer,
                last_weight: lastWeight.pointer, last_bias: lastBias.pointer)
            withUnsafePointer(to: parameters, body)
        }
    }
}

// MARK: - Backward

extension PositionBias {
    /// The lengths of the parameters' gradients, which lie one after the other: W1 `[n, H]`, b1, W2, b2, W3, b3.
    private var gradientLengths: [Int] {
        [rank * hiddenWidth, hiddenWidth, hiddenWidth * hiddenWidth, hiddenWidth, outputs * hiddenWidth, outputs]
    }

    /// The number of elements that the parameters' gradients take together.
    var gradientCount: Int { gradientLengths.reduce(0, +) }

    /// Goes back through the pairs whose bias was added last, in a workspace that keeps them.
    ///
    /// Adds the gradients of the parameters (``gradientCount`` elements) and of the key positions `[J, n]`.
    ///
    /// - Parameter scoreGradient: `[O, queries, J]`.
    func backward(
        _ scoreGradient: UnsafePointer<Float>, of pairs: Pairs, in workspace: inout Workspace,
        parameters gradients: UnsafeMutablePointer<Float>, keys keyGradient: UnsafeMutablePointer<Float>
    ) {
        var parts: [UnsafeMutablePointer<Float>] = []
        var next = gradients
        for length in gradientLengths {
            parts.append(next)
            next += length
        }
        let width = hiddenWidth
        withParameters(of: pairs) { parameters in
            workspace.middleGradient.withMutableElements { middleGradient in
                workspace.firstGradient.withMutableElements { firstGradient in
                    guard let middleGradient = middleGradient.baseAddress,
                        let firstGradient = firstGradient.baseAddress
                    else { return }
                    withExtendedLifetime(middleWeight) {
                        for start in stride(from: 0, to: pairs.count, by: tileRows) {
                            let rows = min(tileRows, pairs.count - start)
                            let first = workspace.first.pointer + start * width
                            let middle = workspace.middle.pointer + start * width
                            position_bias_last_layer_backward(
                                parameters, Int64(rows), middle, scoreGradient + start, Int64(pairs.count),
                                middleGradient, parts[4], parts[5])
                            Product.matrices(
                                rows: width, inner: rows, columns: width, transposingLeft: true, accumulates: true,
                                runsOnOneThread: true
                            ).run(left: middleGradient, right: first, into: parts[2])
                            rows_add_column_sums(Int64(rows), Int64(width), middleGradient, parts[3])
                            Product.matrices(rows: rows, inner: width, columns: width, runsOnOneThread: true)
                                .run(left: middleGradient, right: middleWeight.pointer, into: firstGradient)
                            position_bias_first_layer_backward(
                                parameters, Int64(start), Int64(rows), first, firstGradient, parts[0], parts[1],
                                keyGradient)
                        }
                    }
                }
            }
        }
    }

    /// Files the parameters' gradients (``gradientCount`` elements) under their names.
    func add(_ sums: Tensor, to gradients: inout Gradients) {
        var parts: [Tensor] = []
        var start = 0
        for length in gradientLengths {
            parts.append(sums.reshaped([sums.count]).rows(start..<start + length))
            start += length
        }
        gradients.add(parts[0].reshaped([rank, hiddenWidth]).transposed(), to: path + ".0.0.weight")
        gradients.add(parts[1], to: path + ".0.0.bias")
        gradients.add(parts[2].reshaped([hiddenWidth, hiddenWidth]), to: path + ".1.0.weight")
        gradients.add(parts[3], to: path + ".1.0.bias")
        gradients.add(parts[4].reshaped([outputs, hiddenWidth]), to: path + ".2.weight")
        gradients.add(parts[5], to: path + ".2.bias")
    }
}
