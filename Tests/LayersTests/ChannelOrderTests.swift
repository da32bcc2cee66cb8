import Layers
import TestSupport
import Tensors
import Testing

@Suite struct ChannelOrderTests {
    @Test(arguments: [Shape([2, 3]), [2, 5, 3], [1, 4, 5, 3], [2, 2, 3, 4, 6], [0, 4, 3], [2, 0, 3]])
    func thereAndBack(shape: Shape) {
        var random = SeededGenerator(seed: 3)
        let tensor = random.tensor(shape)
        let first = tensor.channelsFirst()
        #expect(first.shape == Shape([shape[0], shape.last] + shape.dimensions.dropFirst().dropLast()))
        #expect(first.channelsLast().shape == shape && first.channelsLast().elements == tensor.elements)
    }

    @Test func elementsMoveWithTheirChannel() {
        let map = Tensor([1, 1, 3, 2], [1, 10, 2, 20, 3, 30])
        #expect(map.channelsFirst().elements == [1, 2, 3, 10, 20, 30])
    }
}
