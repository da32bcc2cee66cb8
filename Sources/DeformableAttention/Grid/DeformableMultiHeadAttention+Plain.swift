// The definition of the module as plain loops in Double: the oracle of the fast forward, and of the backward by finite differences.

import Checkpoint
import Foundation
import Tensors

extension DeformableMultiHeadAttention {
    /// The module from its formulas, without dropout, reading its parameters by their names in the checkpoint.
    ///
    /// Nothing is shared with the fast version but the table of ``Geometry``; the attention core is ``PlainBiasedAttention``.
    package struct Plain: Sendable {
        package let configuration: Configuration
        /// By the parameters' names, in the checkpoint's memory order.
        package var parameters: [String: [Double]]

        package init(_ source: some TensorSource, configuration: Configuration) throws {
            self.configuration = configuration
            parameters = [:]
            for name in source.names { parameters[name] = try source.tensor(name).elements.map(Double.init) }
        }

        /// - Parameters:
        ///   - input: the elements of `[N, extents..., C]`.
        ///   - shape: their shape.
        /// - Returns: output and grid as in ``DeformableMultiHeadAttention/withSamplingGrid(_:)``.
        package func callAsFunction(_ input: [Double], shape: Shape) -> (output: [Double], grid: [Double]) {
            let extents = Array(shape.dimensions.dropFirst().dropLast())
            let imageCount = extents.reduce(configuration.width, *)
            var output: [Double] = []
            var grid: [Double] = []
            for image in 0..<shape[0] {
                let map = Map(
                    extents: extents, width: configuration.width,
                    values: Array(input[image * imageCount..<(image + 1) * imageCount]))
                let result = attend(map)
                output += result.output
                grid += result.grid
            }
            return (output, grid)
        }
    }
}

extension DeformableMultiHeadAttention.Plain {
    /// `[extents..., width]`
    private struct Map {
        var extents: [Int]
        var width: Int
        var values: [Double]

        /// One channel at a position, an index for each axis; zero outside.
        subscript(position: [Int], channel: Int) -> Double {
            var row = 0
            for (index, extent) in zip(position, extents) {
                guard index >= 0, index < extent else { return 0 }
                row = row * extent + index
            }
            return values[row * width + channel]
        }
    }

    /// All index tuples of an array of these extents, the last axis fastest.
    private static func positions(_ extents: [Int]) -> [[Int]] {
        extents.reduce([[]]) { tuples, extent in tuples.flatMap { tuple in (0..<extent).map { tuple + [$0] } } }
    }

    private func parameter(_ name: String) -> [Double] { parameters[name] ?? [] }

    private func attend(_ map: Map) -> (output: [Double], grid: [Double]) {
        let groups = configuration.offsetGroups
        let queries = project(map, "to_q", groups: configuration.groupsQueries ? groups : 1)
        let sampledExtents = map.extents.indices.map { axis in
            let (kernel, factor) = (configuration.offsetKernel[axis], configuration.downsampling[axis])
            return (map.extents[axis] + (kernel - factor) / 2 * 2 - kernel) / factor + 1
        }
        let samplePositions = Self.positions(sampledExtents)
        let places = (0..<groups).map { group in
            samplePositions.map { place(of: $0, group: group, queries: queries) }
        }
        let locations = places.map { $0.map { normalized($0, extents: sampledExtents) } }
        var samples = Map(extents: sampledExtents, width: map.width, values: [])
        for sample in samplePositions.indices {
            for channel in 0..<map.width {
                samples.values.append(
                    interpolate(map, at: locations[channel / (map.width / groups)][sample], channel: channel))
            }
        }
        let sampleGroups = configuration.groupsKeysAndValues ? groups : 1
        let attention = PlainBiasedAttention(
            heads: configuration.heads, headWidth: configuration.headWidth, groups: groups, rank: configuration.rank,
            hiddenWidth: configuration.biasWidth, usesLogDistance: configuration.usesLogDistance,
            parameters: ["mlp.0.0", "mlp.1.0", "mlp.2"].flatMap {
                [parameter("rel_pos_bias.\($0).weight"), parameter("rel_pos_bias.\($0).bias")]
            })
        let attended = attention(
            images: 1, queries: queries.values, keys: project(samples, "to_k", groups: sampleGroups).values,
            values: project(samples, "to_v", groups: sampleGroups).values,
            queryPositions: Self.positions(map.extents).flatMap { normalized(indices($0), extents: map.extents) },
            keyPositions: locations.flatMap { $0.flatMap { $0 } })
        let output = project(
            Map(extents: map.extents, width: configuration.innerWidth, values: attended), "to_out", groups: 1)
        return (output.values, places.flatMap { $0.flatMap { $0 } })
    }

    /// A convolution with a kernel of one position.
    private func project(_ map: Map, _ path: String, groups: Int) -> Map {
        let weight = parameter(path + ".weight")
        let bias = parameters[path + ".bias"]
        let inputs = map.width / groups
        let width = weight.count / inputs
        var result = Map(extents: map.extents, width: width, values: [])
        for row in 0..<map.values.count / map.width {
            for channel in 0..<width {
                let group = channel / (width / groups)
                var sum = bias?[channel] ?? 0
                for input in 0..<inputs {
                    sum += weight[channel * inputs + input] * map.values[row * map.width + group * inputs + input]
                }
                result.values.append(sum)
            }
        }
        return result
    }

    /// Where a sample of the grid lies after its offset.
    private func place(of sample: [Int], group: Int, queries: Map) -> [Double] {
        let groupWidth = configuration.innerWidth / configuration.offsetGroups
        let taps = Self.positions(configuration.offsetKernel)
        let (weight, bias) = (parameter("to_offsets.0.weight"), parameter("to_offsets.0.bias"))
        let hidden = (0..<groupWidth).map { channel in
            var sum = bias[channel]
            for (index, tap) in taps.enumerated() {
                let position = sample.indices.map { axis in
                    let factor = configuration.downsampling[axis]
                    return sample[axis] * factor + tap[axis] - (configuration.offsetKernel[axis] - factor) / 2
                }
                sum += weight[channel * taps.count + index] * queries[position, group * groupWidth + channel]
            }
            return sum * 0.5 * (1 + erf(sum / 2.0.squareRoot()))
        }
        let projection = parameter("to_offsets.2.weight")
        let components = configuration.geometry.components(rank: configuration.rank)
        return indices(sample).enumerated().map { component, index in
            let sum = hidden.indices.reduce(0) { $0 + projection[component * groupWidth + $1] * hidden[$1] }
            return index + Double(configuration.offsetScale[components[component].axis]) * tanh(sum)
        }
    }

    /// A position's index along each axis in the order of a location's components.
    private func indices(_ position: [Int]) -> [Double] {
        configuration.geometry.components(rank: configuration.rank).map { Double(position[$0.axis]) }
    }

    private func normalized(_ place: [Double], extents: [Int]) -> [Double] {
        let components = configuration.geometry.components(rank: configuration.rank)
        return zip(place, components).map { 2 * $0 / Double(max(extents[$1.dividingAxis] - 1, 1)) - 1 }
    }

    /// Linear along each axis: every position counts with the product of `max(0, 1 - |distance|)` over the axes.
    private func interpolate(_ map: Map, at location: [Double], channel: Int) -> Double {
        let components = configuration.geometry.components(rank: configuration.rank)
        var sum = 0.0
        for position in Self.positions(map.extents) {
            var share = 1.0
            for (coordinate, component) in zip(location, components) {
                let extent = Double(map.extents[component.sampledAxis])
                let pixel = ((coordinate + 1) * extent - 1) / 2
                share *= max(0, 1 - abs(pixel - Double(position[component.sampledAxis])))
            }
            sum += share * map[position, channel]
        }
        return sum
    }
}
