import Checkpoint
import DeformableAttention
import Layers
import TestSupport
import Tensors
import Testing

/// What the grid attention refuses, and how it says so; what it reads and what it draws afresh.
@Suite struct GridInputTests {
    private typealias Configuration = DeformableMultiHeadAttention.Configuration

    private func setting(_ rank: Int) throws -> GridAttentionSetting {
        try GridAttentionSetting(
            GridAttentionSetting.configuration(rank: rank), extents: Array(repeating: 8, count: rank), images: 1,
            seed: 81)
    }

    /// Shapes for a 2-D module of 32 channels, and words that the error must have.
    static let refused: [(shape: Shape, words: [String])] = [
        ([1, 8, 32], ["3 axes", "[N, H, W, 32]"]), ([8, 8, 8, 8, 32], ["5 axes", "[N, H, W, 32]"]),
        ([], ["0 axes"]), ([1, 8, 8, 31], ["31 channels", "[N, H, W, 32]"]), ([1, 8, 8, 0], ["0 channels"]),
        ([1, 3, 8, 32], ["H at least 4", "found 3"]), ([1, 8, 3, 32], ["W at least 4", "found 3"]),
        ([1, 0, 8, 32], ["H at least 4", "found 0"]), ([0, 8, 0, 32], ["W at least 4", "found 0"]),
    ]

    @Test(arguments: refused) func refusesInputOfAnotherShape(shape: Shape, words: [String]) throws {
        let attention = try setting(2).attention()
        let input = Tensor(shape)
        for attempt in [
            { _ = try attention(input) }, { _ = try attention.withSamplingGrid(input) },
            { _ = try attention.withPullback(input, dropoutSeed: nil) },
        ] {
            let error = try #require(throws: DeformableAttentionError.self) { try attempt() }
            guard case .input(let problem) = error else {
                Issue.record("\(error) is not about the input")
                continue
            }
            #expect(problem.contains("\(shape)"))
            for word in words { #expect(problem.contains(word), "\(problem)") }
        }
    }

    @Test(arguments: 1...3) func noImagesGiveNoOutput(rank: Int) throws {
        let attention = try setting(rank).attention()
        let input = Tensor(Shape([0] + Array(repeating: 8, count: rank) + [32]))
        let (output, grid) = try attention.withSamplingGrid(input)
        #expect(output.shape == input.shape)
        #expect(grid.shape == Shape([0, 4] + Array(repeating: 2, count: rank) + [rank]))
        var gradients = Gradients()
        let (_, pullback) = try attention.withPullback(input, dropoutSeed: 1)
        #expect(pullback(output, &gradients).shape == input.shape && gradients.names.isEmpty)
    }

    /// Not finite in, defined out: samples at such places are zero, and nothing is read outside the map.
    @Test(arguments: [Float.nan, .infinity, -.infinity, 3e38])
    func wildInputDoesNoHarm(value: Float) throws {
        let attention = try setting(2).attention()
        let input = Tensor([1, 8, 8, 32], repeating: value)
        let (output, pullback) = try attention.withPullback(input, dropoutSeed: nil)
        var gradients = Gradients()
        #expect(output.shape == input.shape && pullback(output, &gradients).shape == input.shape)
    }

    @Test func namesWhatIsMissingOrMisshaped() throws {
        for rank in 1...3 {
            let complete = try setting(rank)
            for name in complete.parameters.names {
                var broken = complete
                let shape = try #require(complete.parameters.shape(of: name))
                broken.parameters[name] = Tensor(Shape(shape.dimensions + [1]))
                let misshaped = try #require(throws: CheckpointError.self) { _ = try broken.attention() }
                guard case .wrongShape(_, name, shape, _) = misshaped else {
                    Issue.record("\(misshaped) does not name \(name)")
                    continue
                }
                // Without its buffer a 3-D module takes the configuration's scale.
                guard !name.hasSuffix("scale") else { continue }
                broken.parameters[name] = nil
                let missing = try #require(throws: CheckpointError.self) { _ = try broken.attention() }
                #expect(missing == .missingTensor(path: "memory", name: name, expected: shape))
            }
        }
    }

    @Test func readsAllOfItsPlaceInACheckpoint() throws {
        for rank in 1...3 {
            let setting = try setting(rank)
            var whole = TensorDictionary()
            for name in setting.parameters.names { whole["stage.attention.\(name)"] = setting.parameters[name] }
            let cursor = WeightCursor(whole)
            let attention = try DeformableMultiHeadAttention(
                cursor["stage"]["attention"], configuration: setting.configuration)
            try cursor.requireAllUsed()
            var gradients = Gradients()
            let (output, pullback) = try attention.withPullback(setting.input, dropoutSeed: nil)
            _ = pullback(output, &gradients)
            #expect(gradients.names == whole.names.filter { !$0.hasSuffix("scale") }.sorted())
        }
    }

    @Test func aStoredScaleHasTheLastWord() throws {
        var setting = try setting(3)
        let configured = try setting.attention().withSamplingGrid(setting.input).grid
        setting.parameters["to_offsets.4.scale"] = Tensor([3], [0, 0, 0])
        let attention = try setting.attention()
        #expect(attention.configuration.offsetScale == [0, 0, 0])
        let stored = try attention.withSamplingGrid(setting.input).grid
        #expect(stored.elements.allSatisfy { $0 == $0.rounded() } && stored.elements != configured.elements)
        setting.parameters["to_offsets.4.scale"] = nil
        #expect(try setting.attention().withSamplingGrid(setting.input).grid.elements == configured.elements)
    }

    /// Options that cannot be, by what they are called in the error.
    @Test func refusesImpossibleOptions() throws {
        let impossible: [(word: String, change: (inout Configuration) -> Void)] = [
            ("rank 0", { $0 = Configuration(rank: 0, width: 32) }),
            ("rank 4", { $0 = Configuration(rank: 4, width: 32) }),
            ("rank -1", { $0 = Configuration(rank: -1, width: 32) }), ("downsampling", { $0.downsampling = [4] }),
            ("offsetScale", { $0.offsetScale = [1, 1, 1] }), ("offsetKernel", { $0.offsetKernel = [] }),
            ("width 3", { $0.width = 3 }), ("width 0", { $0.width = 0 }), ("heads -8", { $0.heads = -8 }),
            ("headWidth", { $0.headWidth = .max }), ("downsampling 0", { $0.downsampling = [0, 4] }),
            ("8 heads", { $0.offsetGroups = 3 }), ("36 channels", { $0.width = 36 }),
            ("kernel 5", { $0.offsetKernel = [6, 5] }), ("kernel 2", { $0.offsetKernel = [2, 6] }),
            ("offsetScale", { $0.offsetScale = [.nan, 1] }), ("dropout", { $0.dropout = 1 }),
            ("dropout", { $0.dropout = .nan }), ("dropout", { $0.dropout = -0.1 }),
            ("65536 channels together", { $0.headWidth = 1 << 14 }),
            ("taps together", { $0.offsetKernel = [1024, 1024] }),
        ]
        for (word, change) in impossible {
            var configuration = Configuration(rank: 2, width: 32)
            change(&configuration)
            var random = SeededGenerator(seed: 1)
            for attempt in [
                {
                    _ = try DeformableMultiHeadAttention(WeightCursor(TensorDictionary()), configuration: configuration)
                },
                {
                    _ = try DeformableMultiHeadAttention.initialParameters(configuration: configuration, using: &random)
                },
            ] {
                let error = try #require(throws: DeformableAttentionError.self) { try attempt() }
                #expect(error.code == "attention-configuration" && error.description.contains(word), "\(error)")
            }
        }
    }

    /// Evenly between the bounds that PyTorch draws from: `1 / sqrt(inputs of an output)`.
    @Test func initialParametersAreDrawnAsPyTorchDoes() throws {
        var configuration = Configuration(rank: 2, width: 128)
        configuration.groupsQueries = false
        var random = SeededGenerator(seed: 82)
        let parameters = try DeformableMultiHeadAttention.initialParameters(
            configuration: configuration, using: &random)
        let inputs = [
            "to_offsets.0.weight": 36, "to_offsets.0.bias": 36, "to_offsets.2.weight": 64, "to_q.weight": 128,
            "to_k.weight": 16, "to_v.weight": 16, "to_out.weight": 512, "to_out.bias": 512,
            "rel_pos_bias.mlp.0.0.weight": 2, "rel_pos_bias.mlp.0.0.bias": 2, "rel_pos_bias.mlp.1.0.weight": 32,
            "rel_pos_bias.mlp.1.0.bias": 32, "rel_pos_bias.mlp.2.weight": 32, "rel_pos_bias.mlp.2.bias": 32,
        ]
        #expect(parameters.names.sorted() == inputs.keys.sorted())
        for (name, count) in inputs {
            let bound = 1 / Float(count).squareRoot()
            let elements = try parameters.tensor(name).elements
            #expect(elements.allSatisfy { abs($0) <= bound }, "\(name)")
            guard elements.count >= 100 else { continue }
            #expect(elements.contains { $0 > 0.9 * bound } && elements.contains { $0 < -0.9 * bound }, "\(name)")
            let variance = elements.reduce(0) { $0 + $1 * $1 } / Float(elements.count)
            // An even distribution's variance is a third of the bound's square; six standard errors of its estimate.
            #expect(abs(variance / (bound * bound / 3) - 1) < 6 * 0.9 / Float(elements.count).squareRoot(), "\(name)")
        }
        var again = SeededGenerator(seed: 82)
        let repeated = try DeformableMultiHeadAttention.initialParameters(configuration: configuration, using: &again)
        for name in inputs.keys { #expect(try repeated.tensor(name).elements == parameters.tensor(name).elements) }
    }
}
