import Checkpoint
import TestSupport
import Tensors
import Testing

@Suite struct StoredTensorTests {
    private let plain = StoredTensor(shape: [2, 2]) { Tensor([2, 2], [1, -2, 3, 4]) }
    private let whole = StoredTensor(shape: [2, 2], steps: [0.5, 2]) { Tensor([2, 2], [1, -128, 127, 3]) }

    @Test func wholeNumbersCountSteps() {
        #expect(whole().elements == [0.5, -64, 254, 6])
        #expect(whole.numbers().elements == [1, -128, 127, 3])
        #expect(plain().elements == [1, -2, 3, 4])
        #expect(plain.steps == nil)
        let inSteps = plain.inSteps([2, 0.5])
        #expect(inSteps.numbers().elements == [0.5, -1, 6, 8])
        #expect(inSteps().elements == plain().elements)
    }

    @Test func rowsAreScaled() {
        #expect(plain.scalingRows(by: [2, -1]).callAsFunction().elements == [2, -4, -3, -4])
        let scaled = whole.scalingRows(by: [2, -1])
        #expect(scaled.steps == [1, 2], "a step has no sign")
        #expect(scaled.numbers().elements == [1, -128, -127, -3])
        #expect(scaled().elements == [1, -128, -254, -6])
        #expect(whole.scalingRows(by: [2, 1]).numbers().elements == whole.numbers().elements)
    }

    @Test func stacksKeepWholeNumbersOnlyTogether() {
        let stack = StoredTensor.stacking([whole, whole])
        #expect(stack.shape == [4, 2])
        #expect(stack.steps == [0.5, 2, 0.5, 2])
        #expect(stack().elements == whole().elements + whole().elements)
        let mixed = StoredTensor.stacking([plain, whole])
        #expect(mixed.steps == nil)
        #expect(mixed().elements == plain().elements + whole().elements)
        #expect(StoredTensor.stacking([whole]).steps == [0.5, 2])
    }

    /// Steps that make infinite elements are refused as infinite elements are.
    @Test func cursorChecksSteps() throws {
        struct Source: TensorSource {
            let origin = "memory"
            let names = ["weight"]
            let steps: [Float]
            func shape(of name: String) -> Shape? { [2, 1] }
            func stored(_ name: String) -> StoredTensor {
                StoredTensor(shape: [2, 1], steps: steps) { Tensor([2, 1], [1, 1]) }
            }
            func tensor(_ name: String) -> Tensor { stored(name)() }
        }
        let fine = WeightCursor(Source(steps: [1, 1e36]))
        #expect(try fine.stored("weight", [2, 1])().elements == [1, 1e36])
        #expect(fine.unusedNames.isEmpty)
        for step in [Float.nan, .infinity, 3e37] {
            #expect(throws: CheckpointError.self) {
                try WeightCursor(Source(steps: [1, step])).stored("weight", [2, 1])
            }
        }
        #expect(throws: CheckpointError.wrongShape(path: "memory", name: "weight", expected: [1, 2], found: [2, 1])) {
            try fine.stored("weight", [1, 2])
        }
    }
}
