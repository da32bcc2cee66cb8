import Checkpoint
import TestSupport
import Tensors
import Testing

@Suite struct WeightCursorTests {
    private let source = TensorDictionary([
        "encoder.layers.0.weight": Tensor([2, 3], [0, 1, 2, 3, 4, 5]),
        "encoder.layers.0.bias": Tensor([2], [7, 8]),
        "bad": Tensor([20], [Float](repeating: 1, count: 19) + [.nan]),
        "worse": Tensor([3], [1, -.infinity, .nan]),
    ])

    @Test func walksToTensors() throws {
        let cursor = WeightCursor(source)
        let layer = cursor["encoder"]["layers"][0]
        #expect(layer.path == "encoder.layers.0")
        #expect(layer.contains("bias"))
        #expect(!layer.contains("gain"))
        #expect(layer.shape(of: "weight") == [2, 3])
        #expect(try layer.tensor("weight", [2, 3]).elements == [0, 1, 2, 3, 4, 5])
        #expect(cursor.unusedNames == ["encoder.layers.0.bias", "bad", "worse"])
        #expect(throws: CheckpointError.unexpectedTensors(path: "memory", names: cursor.unusedNames)) {
            try cursor.requireAllUsed()
        }
    }

    @Test func errorsNameTheTensor() throws {
        let layer = WeightCursor(source)["encoder"]["layers"][0]
        let name = "encoder.layers.0.weight"
        #expect(throws: CheckpointError.wrongShape(path: "memory", name: name, expected: [3, 2], found: [2, 3])) {
            try layer.tensor("weight", [3, 2])
        }
        #expect(throws: CheckpointError.missingTensor(path: "memory", name: "encoder.layers.0.gain", expected: [4])) {
            try layer.tensor("gain", [4])
        }
    }

    @Test func refusesNonfiniteUnlessAllowed() throws {
        let cursor = WeightCursor(source)
        #expect(throws: CheckpointError.nonfinite(path: "memory", name: "bad", index: 19, value: "nan")) {
            try cursor.tensor("bad", [20])
        }
        #expect(throws: CheckpointError.nonfinite(path: "memory", name: "worse", index: 1, value: "-inf")) {
            try cursor.tensor("worse", [3])
        }
        #expect(try WeightCursor(source, allowsNonfinite: true).tensor("bad", [20]).elements[19].isNaN)
        // Large finite numbers must not be taken for infinite ones.
        let large = TensorDictionary(["a": Tensor([64], repeating: .greatestFiniteMagnitude)])
        #expect(try WeightCursor(large).tensor("a", [64]).count == 64)
    }

    @Test func everyPositionIsChecked() {
        for position in 0..<37 {
            var elements = [Float](repeating: 0.5, count: 37)
            elements[position] = .infinity
            let cursor = WeightCursor(TensorDictionary(["a": Tensor([37], elements)]))
            #expect(throws: CheckpointError.nonfinite(path: "memory", name: "a", index: position, value: "inf")) {
                try cursor.tensor("a", [37])
            }
        }
    }
}
