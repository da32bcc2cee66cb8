import Testing

@testable import CodeImages

@Suite struct RasterTests {
    @Test func everyColorHasBytes() {
        var raster = Raster(width: 2, height: 1, color: Tone(-1, 0.5, 2, 1))
        raster.pixels[1] = Tone(.nan, .infinity, -.infinity, 1)
        #expect(raster.bytes == [0, 128, 255, 0, 255, 0])
    }
}
