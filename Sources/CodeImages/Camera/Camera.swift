import Images

/// What a camera does to a scene: focus, motion, exposure, colour, noise, sharpening, file.
struct Camera: Sendable {
    private let defocus: Float
    private let motion: (angle: Float, length: Float)?
    /// The luminance that an automatic exposure gives to the bright parts of the picture.
    private let aim: Float
    private let gains: Tone
    private let lift: Tone
    private let contrast: Float
    private let saturation: Float
    private let noise: Float
    private let colorNoise: Float
    private let sharpening: Float
    private let noiseSeed: UInt64
    private let quality: Int

    /// - Parameter moduleSide: pixels to a module of the scene's finest code; blur stays in proportion to it, because nobody
    ///   can say what a code is that has dissolved entirely.
    init(moduleSide: Float, _ random: inout RandomSource) {
        let limit = max(0.7, moduleSide * 1.15)
        defocus = min(random.chance(0.5) ? random.value(in: 0.2...0.8) : random.logarithmic(in: 0.5...3.5), limit)
        motion =
            random.chance(0.15)
            ? (random.value(in: 0...6.3), min(random.logarithmic(in: 2...14), max(2, moduleSide * 2.5))) : nil
        let isGray = random.chance(0.1)
        aim = random.chance(0.86) ? random.logarithmic(in: 0.62...1.25) : random.logarithmic(in: 0.2...0.62)
        let warmth = isGray ? 0 : random.normal() * 0.1
        let tint = isGray ? 0 : random.normal() * 0.03
        gains = Tone(1 + warmth, 1 + tint, 1 - warmth, 1)
        let haze = random.chance(0.2) ? random.value(in: 0...0.25) : 0
        lift = Tone(haze, haze, haze, 0)
        contrast = random.value(in: -0.2...0.9)
        saturation = isGray ? 0 : random.value(in: 0.5...1.25)
        noise = random.chance(0.6) ? random.logarithmic(in: 0.002...0.03) : random.logarithmic(in: 0.01...0.09)
        colorNoise = isGray ? 0 : random.value(in: 0...1)
        sharpening = random.chance(0.35) ? random.value(in: 0.3...2) : 0
        noiseSeed = random.next()
        quality = random.chance(0.75) ? random.whole(in: 60...97) : random.whole(in: 18...70)
    }

    /// - Throws: `ImageError` when the codec is out of memory.
    func photograph(_ scene: Raster, outputWidth: Int, outputHeight: Int) throws -> Image {
        var raster = scene
        raster.blur(sigma: defocus)
        if let motion { raster.blur(along: motion.angle, length: motion.length) }
        develop(&raster)
        if sharpening > 0 { raster.sharpen(strength: sharpening, sigma: 1) }
        let image = Image(raster)
        let sized =
            outputWidth == raster.width && outputHeight == raster.height
            ? image : image.resized(width: outputWidth, height: outputHeight)
        return try Image(decoding: sized.jpegData(quality: quality))
    }

    /// The factor that brings the brightest twentieth to the aim, within what a camera does.
    private func exposure(of raster: Raster) -> Float {
        let samples = stride(from: 0, to: raster.pixels.count, by: 37).map { raster.pixels[$0].luminance }.sorted()
        let bright = samples[samples.count * 19 / 20]
        return min(max(aim / max(bright, 0.01), 0.35), 4)
    }

    /// Exposure, colour, contrast, noise.
    private func develop(_ raster: inout Raster) {
        var source = RandomSource(seed: noiseSeed, stream: 0)
        let (lift, contrast, saturation) = (lift, contrast, saturation)
        let exposure = exposure(of: raster)
        let gains = gains * Tone(exposure, exposure, exposure, 1)
        for index in raster.pixels.indices {
            var tone = raster.pixels[index] * gains
            let luminance = tone.luminance
            let gray = Tone(luminance, luminance, luminance, tone.w)
            tone = gray + (tone - gray) * saturation
            tone = tone.clamped(lowerBound: .zero, upperBound: .one)
            // Between a straight line and a smooth step.
            tone += (tone * tone * (3 - 2 * tone) - tone) * contrast
            tone = lift + tone * (1 - lift)
            // Four sums of two uniform numbers: one for all channels, three for each.
            let bits = source.next()
            let halves = SIMD8<UInt8>(bits)
            let random = SIMD8<Float>(halves) / 127.5 - 1
            let own = Tone(random[0] + random[1], random[2] + random[3], random[4] + random[5], 0)
            let common = random[6] + random[7]
            tone += (own * colorNoise + common * (1 - colorNoise * 0.5)) * noise
            raster.pixels[index] = tone
        }
    }
}

extension SIMD8<UInt8> {
    /// The eight bytes of a number, lowest first.
    fileprivate init(_ bits: UInt64) {
        self.init()
        for index in 0..<8 { self[index] = UInt8(truncatingIfNeeded: bits >> UInt64(8 * index)) }
    }
}
