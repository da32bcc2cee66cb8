import Checkpoint
import DeformableAttention
import Tensors
import Testing

/// The example of ``DeformableMultiHeadAttention``'s page, word for word.
@Suite struct GridExampleTests {
    @Test func theDocumentedExampleRuns() throws {
        var configuration = DeformableMultiHeadAttention.Configuration(rank: 2, width: 64)
        configuration.heads = 4
        configuration.offsetGroups = 2
        var random = SystemRandomNumberGenerator()
        let parameters = try DeformableMultiHeadAttention.initialParameters(
            configuration: configuration, using: &random)
        let attention = try DeformableMultiHeadAttention(WeightCursor(parameters), configuration: configuration)
        let (output, grid) = try attention.withSamplingGrid(Tensor([1, 16, 24, 64], repeating: 0.5))
        print(output.shape, grid.shape)  // [1, 16, 24, 64] [1, 2, 4, 6, 2]
        #expect("\(output.shape) \(grid.shape)" == "[1, 16, 24, 64] [1, 2, 4, 6, 2]")
    }
}
