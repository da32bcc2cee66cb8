import Images

/// What a camera does to a scene: focus, motion, exposure, colour, noise, sharpening, file.
struct Camera: Sendable {
    /// What made the image.
    enum Medium: Sendable {
        case camera
        /// A flat-bed or sheet scanner, a copier, a fax machine.
        case scanner
        /// No light and no lens: a screenshot, an illustration, a file from a program.
        case program
    }

    private let defocus: Float
    /// How much larger red and smaller blue is, as cheap lenses do; 0 for none.
    private let fringe: Float
    private let motion: (angle: Float, length: Float)?
    /// The luminance that an automatic exposure gives to the bright parts of the picture; nil leaves them.
    private let aim: Float?
    private let gains: Tone
    private let lift: Tone
    private let contrast: Float
    private let saturation: Float
    private let noise: Float
    private let colorNoise: Float
    private let sharpening: Float
    /// Black below and white above a luminance, with a slope between; nil keeps all shades.
    private let threshold: (level: Float, slope: Float)?
    private let noiseSeed: UInt64
    private let quality: Int

    /// - Parameter moduleSide: pixels to the scene's finest detail; blur stays in proportion to it, because nobody
    ///   can say what a code is that has dissolved entirely.
    init(_ medium: Medium, moduleSide: Float, _ random: inout RandomSource) {
        let limit = max(0.5, moduleSide * 0.8)
        // Most photographs of codes can be read; the others show what else there is.
        let isGood = random.chance(0.55)
        let isGray = random.chance(medium == .scanner ? 0.5 : 0.13)
        var (warmth, tint, haze): (Float, Float, Float) = (0, 0, 0)
        switch medium {
        case .camera:
            defocus =
                isGood
                ? min(random.value(in: 0.2...0.7), moduleSide * 0.3)
                : min(random.chance(0.4) ? random.value(in: 0.2...0.8) : random.logarithmic(in: 0.5...4), limit)
            motion =
                !isGood && random.chance(0.3)
                ? (random.value(in: 0...6.3), min(random.logarithmic(in: 2...16), max(1.6, moduleSide * 1.8))) : nil
            aim =
                isGood || random.chance(0.7)
                ? random.logarithmic(in: 0.65...1.05)
                : random.chance(0.6) ? random.logarithmic(in: 0.25...0.65) : random.logarithmic(in: 1.05...1.6)
            warmth = random.normal() * 0.12
            tint = random.normal() * 0.03
            haze = random.chance(0.25) ? random.value(in: 0...0.3) : 0
            contrast = random.value(in: -0.3...0.9)
            saturation = isGray ? 0 : random.value(in: 0.4...1.25)
            noise = isGood ? random.logarithmic(in: 0.002...0.02) : random.logarithmic(in: 0.005...0.1)
            sharpening = random.chance(0.35) ? random.value(in: 0.3...2.5) : 0
            fringe = random.chance(0.1) ? random.logarithmic(in: 0.0005...0.005) : 0
        case .scanner:
            defocus = min(random.value(in: 0.2...1.4), isGood ? moduleSide * 0.3 : limit)
            motion = nil
            aim = random.value(in: 0.8...1.05)
            warmth = random.normal() * 0.03
            haze = random.chance(0.3) ? random.value(in: 0...0.2) : 0
            contrast = random.value(in: -0.2...1.4)
            saturation = isGray ? 0 : random.value(in: 0.5...1.1)
            noise = random.logarithmic(in: 0.001...0.08)
            fringe = 0
            sharpening = random.chance(0.4) ? random.value(in: 0.3...3) : 0
        case .program:
            defocus = random.chance(0.7) ? 0 : min(random.value(in: 0.3...1.2), limit)
            motion = nil
            aim = nil
            contrast = 0
            saturation = 1
            noise = 0
            sharpening = 0
            fringe = 0
        }
        gains = isGray ? .one : Tone(1 + warmth, 1 + tint, 1 - warmth, 1)
        lift = Tone(haze, haze, haze, 0)
        colorNoise = isGray ? 0 : random.value(in: 0...1)
        threshold =
            random.chance(medium == .camera ? 0.012 : 0.16)
            ? (random.value(in: 0.3...0.65), random.logarithmic(in: 3...60)) : nil
        noiseSeed = random.next()
        quality = isGood || random.chance(0.4) ? random.whole(in: 60...97) : random.whole(in: 15...70)
    }

    /// - Throws: `ImageError` when the codec is out of memory.
    func photograph(_ scene: Raster, outputWidth: Int, outputHeight: Int) throws -> Image {
        var raster = scene
        raster.blur(sigma: defocus)
        if let motion { raster.blur(along: motion.angle, length: motion.length) }
        if fringe > 0 { raster.fringe(fringe) }
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
        guard let aim else { return 1 }
        let samples = stride(from: 0, to: raster.pixels.count, by: 37).map { raster.pixels[$0].luminance }.sorted()
        let bright = samples[samples.count * 19 / 20]
        return min(max(aim / max(bright, 0.01), 0.35), 4)
    }

    /// Exposure, colour, contrast, noise.
    private func develop(_ raster: inout Raster) {
        var source = RandomSource(seed: noiseSeed, stream: 0)
        let (lift, contrast, saturation, threshold) = (lift, contrast, saturation, threshold)
        let exposure = exposure(of: raster)
        let gains = gains * Tone(exposure, exposure, exposure, 1)
        let grains = noise > 0 ? grains(&source) : [.zero]
        let (width, height, mask) = (raster.width, raster.height, grains.count - 1)
        raster.pixels.withUnsafeMutableBufferPointer { pixels in
            grains.withUnsafeBufferPointer { grains in
                for row in 0..<height {
                    // Every row reads the table from another place, so that its end is nowhere seen.
                    let start = Int(truncatingIfNeeded: source.next() & 0xFFFF)
                    for column in 0..<width {
                        var tone = pixels[row * width + column] * gains
                        let luminance = tone.luminance
                        let gray = Tone(luminance, luminance, luminance, tone.w)
                        tone = (gray + (tone - gray) * saturation).inRange
                        // Between a straight line and a smooth step.
                        tone += (tone * tone * (3 - 2 * tone) - tone) * contrast
                        tone = lift + tone * (1 - lift) + grains[(start + column) & mask]
                        if let threshold {
                            tone = .gray(0.5 + (tone.luminance - threshold.level) * threshold.slope)
                        }
                        pixels[row * width + column] = tone
                    }
                }
            }
        }
    }

    /// A power of two of noise values: one share for all channels, one for each, both sums of two uniform numbers.
    private func grains(_ source: inout RandomSource) -> [Tone] {
        (0..<8192).map { _ in
            let own = Tone(
                source.unit() + source.unit(), source.unit() + source.unit(), source.unit() + source.unit(), 1)
            let common = 2 * (source.unit() + source.unit() - 1)
            var grain = (2 * (own - 1) * colorNoise + common * (1 - colorNoise * 0.5)) * noise
            grain.w = 0
            return grain
        }
    }
}
