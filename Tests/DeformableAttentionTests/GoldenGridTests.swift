import AttentionCases
import Checkpoint
import DeformableAttention
import Foundation
import Layers
import TestSupport
import Tensors
import Testing

/// The module over a grid against the package's `DeformableAttention1D`, `2D` and `3D`: outputs, sampling grids, all gradients.
///
/// Made by `tools/golden_grid_attention.py` (deformable-attention 0.0.20, torch 2.15.0) in float64, all parameters random.
/// The package itself, in float32, is off by up to 1.5e-5 in outputs and 1e-4 in gradients that don't vanish.
/// Its 1-D modules move samples by several pixels a step, and with them a float's last digit.
@Suite struct GoldenGridTests {
    /// A file of the `Golden` folder.
    struct Case: Sendable, CustomTestStringConvertible {
        let rank: Int
        let name: String

        var file: String { "grid-\(rank)d-\(name).safetensors" }
        var testDescription: String { "\(rank)-D, \(name)" }
        /// Measured: 1.3e-5 in 1-D, 3.3e-6 in 2-D and 3-D.
        var outputTolerance: Float { rank == 1 ? 3e-5 : 1e-5 }
    }

    static let cases: [Case] = {
        let ofEveryRank = [
            "grouped", "ungrouped-queries", "ungrouped-keys-values", "ungrouped", "fewer-groups",
            "fewer-groups-ungrouped", "one-group", "one-head", "odd-head-width", "batch", "narrowest-bias",
            "far-outside", "small-steps", "every-position", "odd-kernel", "one-sample", "width-72", "width-64",
        ]
        let ofOneRank = [
            1: ["linear-distance", "kernel-of-the-factor", "one-position"],
            2: ["square", "wide", "tall", "kernel-of-the-factor", "one-row", "corrected"],
            3: ["cube", "axes-differ", "default-scale", "one-frame", "corrected"],
        ]
        return (1...3).flatMap { rank in
            (ofEveryRank + (ofOneRank[rank] ?? [])).map { Case(rank: rank, name: $0) }
        }
    }()

    private func open(_ test: Case) throws -> (module: DeformableMultiHeadAttention, file: WeightFile) {
        let golden = try AttentionCase(contentsOf: Fixture.path(test.file))
        var configuration: DeformableMultiHeadAttention.Configuration?
        if case .grid(let found) = golden.module { configuration = found }
        return (
            try DeformableMultiHeadAttention(WeightCursor(golden.file), configuration: #require(configuration)),
            golden.file
        )
    }

    @Test func everyFileIsTested() throws {
        let folder = URL(fileURLWithPath: Fixture.path("")).path
        let files = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasPrefix("grid-") }
        #expect(files.sorted() == Self.cases.map(\.file).sorted())
    }

    @Test(arguments: cases) func forwardAgreesWithThePackage(test: Case) throws {
        let (attention, file) = try open(test)
        let input = try file.tensor("input")
        let (output, grid) = try attention.withSamplingGrid(input)
        #expect(relativeError(output, try file.tensor("expected.output")) < test.outputTolerance)
        #expect(relativeError(grid, try file.tensor("expected.grid")) < 2e-6)
        #expect(try attention(input).elements == output.elements)
    }

    /// Every parameter of the file has a gradient and no other; the largest difference measured is 3.3e-5.
    @Test(arguments: cases) func backwardAgreesWithThePackage(test: Case) throws {
        let (attention, file) = try open(test)
        let (output, pullback) = try attention.withPullback(try file.tensor("input"), dropoutSeed: nil)
        #expect(relativeError(output, try file.tensor("expected.output")) < test.outputTolerance)
        var gradients = Gradients()
        let inputGradient = pullback(try file.tensor("output_gradient"), &gradients)
        #expect(relativeError(inputGradient, try file.tensor("expected.gradient.input")) < 1e-4)

        let prefix = "expected.gradient."
        let parameters = file.names.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
            .filter { $0 != "input" }
        #expect(gradients.names == parameters.sorted())
        let expected = try parameters.map { try file.tensor(prefix + $0) }
        let largestOfAll = expected.reduce(0) { max($0, $1.largestMagnitude) }
        for (name, expected) in zip(parameters, expected) {
            let gradient = try #require(gradients[name])
            // Softmax takes away what all keys of a query share, so that some gradients of the bias are sums that cancel: the
            // error of those is measured by the gradients of the other parameters.
            let largest = max(expected.largestMagnitude, 1e-30)
            let error = relativeError(gradient, expected) * largest / max(largest, 1e-2 * largestOfAll)
            #expect(error < 1e-4, "\(name)")
        }
    }
}

extension Tensor {
    fileprivate var largestMagnitude: Float { elements.reduce(0) { max($0, abs($1)) } }
}
