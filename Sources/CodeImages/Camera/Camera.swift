import Images

/// What a camera does to a scene: focus, motion, exposure, colour, noise, sharpening, file.
struct Camera: Sendable {
    private let defocus: Float
    private let motion: (angle: Float, length: Float)?
    private let gains: Tone
    private let lift: Tone
    private let contrast: Float
    private let saturation: Float
    private let noise: Float
    private let colorNoise: Float
    private let sharpening: Float
    private let noiseSeed: UInt64
    private let quality: Int

    /// - Parameter moduleSide: pixels to a module of the scene's main symbol; blur stays in proportion to it, because nobody
    ///   can say what a code is that has dissolved entirely.
    init(moduleSide: Float, _ random: inout RandomSource) {
        let limit = max(0.7, moduleSide * 1.1)
        defocus = min(random.chance(0.5) ? random.value(in: 0.2...0.8) : random.logarithmic(in: 0.5...3.5), limit)
        motion =
            random.chance(0.15)
            ? (random.value(in: 0...6.3), min(random.logarithmic(in: 2...14), max(2, moduleSide * 3))) : nil
        let isGray = random.chance(0.1)
        let exposure = random.logarithmic(in: random.chance(0.3) ? 0.3...1.5 : 0.7...1.2)
        let warmth = isGray ? 0 : random.normal() * 0.1
        let tint = isGray ? 0 : random.normal() * 0.03
        gains = Tone(exposure * (1 + warmth), exposure * (1 + tint), exposure * (1 - warmth), 1)
        let haze = random.chance(0.2) ? random.value(in: 0...0.25) : 0
        lift = Tone(haze, haze, haze, 0)
        contrast = random.value(in: -0.35...0.8)
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
        let bytes = raster.pixels.withBytes
        let image = Image(width: raster.width, height: raster.height, pixels: bytes)
        let sized =
            outputWidth == raster.width && outputHeight == raster.height
            ? image : image.resized(width: outputWidth, height: outputHeight)
        return try Image(decoding: sized.jpegData(quality: quality))
    }

    /// Exposure, colour, contrast, noise.
    private func develop(_ raster: inout Raster) {
        var source = RandomSource(seed: noiseSeed, stream: 0)
        let (gains, lift, contrast, saturation) = (gains, lift, contrast, saturation)
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

extension [SIMD4<Float>] {
    /// Red, green and blue in 0...255, rounded.
    fileprivate var withBytes: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count * 3)
        var place = 0
        for tone in self {
            let scaled = (tone * 255 + 0.5).clamped(lowerBound: .zero, upperBound: Tone(repeating: 255))
            bytes[place] = UInt8(scaled.x)
            bytes[place + 1] = UInt8(scaled.y)
            bytes[place + 2] = UInt8(scaled.z)
            place += 3
        }
        return bytes
    }
}
