// Colour changes: plain C over blocks of pixels, one array a channel, which the compiler vectorises for each instruction set.
#include "Colors.h"

#include "Vectors.h"

// Sums are cut to whole numbers: one rounding more or less, as instruction sets have it, would show.
#pragma STDC FP_CONTRACT OFF

/// Pixels at a time: their channels stay in the nearest cache.
enum { block = 256 };

/// The same number of pixels with each channel in an array of its own.
typedef struct {
    float red[block], green[block], blue[block];
} channels;

INLINE void split(int64_t count, const uint8_t *pixels, channels *into) {
    for (int64_t pixel = 0; pixel < count; pixel++) {
        into->red[pixel] = (float)pixels[3 * pixel];
        into->green[pixel] = (float)pixels[3 * pixel + 1];
        into->blue[pixel] = (float)pixels[3 * pixel + 2];
    }
}

/// Cut to 0...255 and to a whole number.
INLINE uint8_t byte_of(float value) {
    const float above = value > 0.0f ? value : 0.0f;
    return (uint8_t)(int32_t)(above < 255.0f ? above : 255.0f);
}

INLINE void join(int64_t count, const channels *from, uint8_t *pixels) {
    for (int64_t pixel = 0; pixel < count; pixel++) {
        pixels[3 * pixel] = byte_of(from->red[pixel]);
        pixels[3 * pixel + 1] = byte_of(from->green[pixel]);
        pixels[3 * pixel + 2] = byte_of(from->blue[pixel]);
    }
}

INLINE float grey_of(float red, float green, float blue) {
    return (float)(int32_t)(0.2989f * red + 0.587f * green + 0.114f * blue);
}

DISPATCHED void colors_blend(int64_t byte_count, uint8_t *bytes, float factor, float addend) {
    for (int64_t index = 0; index < byte_count; index++) bytes[index] = byte_of(factor * (float)bytes[index] + addend);
}

DISPATCHED uint64_t colors_sum_of_greys(int64_t pixel_count, const uint8_t *pixels) {
    uint64_t total = 0;
    for (int64_t start = 0; start < pixel_count; start += block) {
        const int64_t count = pixel_count - start < block ? pixel_count - start : block;
        channels part;
        split(count, pixels + 3 * start, &part);
        int32_t sum = 0;
        for (int64_t pixel = 0; pixel < count; pixel++)
            sum += (int32_t)grey_of(part.red[pixel], part.green[pixel], part.blue[pixel]);
        total += (uint64_t)sum;
    }
    return total;
}

DISPATCHED void colors_saturate(int64_t pixel_count, uint8_t *pixels, float factor, float grey_factor) {
    for (int64_t start = 0; start < pixel_count; start += block) {
        const int64_t count = pixel_count - start < block ? pixel_count - start : block;
        channels part;
        split(count, pixels + 3 * start, &part);
        for (int64_t pixel = 0; pixel < count; pixel++) {
            const float addend =
                grey_factor * grey_of(part.red[pixel], part.green[pixel], part.blue[pixel]);
            part.red[pixel] = factor * part.red[pixel] + addend;
            part.green[pixel] = factor * part.green[pixel] + addend;
            part.blue[pixel] = factor * part.blue[pixel] + addend;
        }
        join(count, &part, pixels + 3 * start);
    }
}

/// A channel of a colour by its hue in sixths, 0 ..< 6: `phase` is 5 for red, 3 for green and 1 for blue.
///
/// - Source: the closed form of HSV to RGB, value - chroma * max(0, min(k, 4 - k, 1)) with k = (phase + hue) mod 6.
INLINE float channel_of(float hue, float phase, float value, float chroma) {
    float k = phase + hue;
    k = k >= 6.0f ? k - 6.0f : k;
    float share = k < 4.0f - k ? k : 4.0f - k;
    share = share < 1.0f ? share : 1.0f;
    share = share > 0.0f ? share : 0.0f;
    return value - chroma * share;
}

DISPATCHED void colors_turn_hue(int64_t pixel_count, uint8_t *pixels, float turns) {
    // torchvision scales bytes by 1/255 and back by 255.999.
    const float scale = 255.999f / 255.0f;
    for (int64_t start = 0; start < pixel_count; start += block) {
        const int64_t count = pixel_count - start < block ? pixel_count - start : block;
        channels part;
        split(count, pixels + 3 * start, &part);
        for (int64_t pixel = 0; pixel < count; pixel++) {
            const float red = part.red[pixel], green = part.green[pixel], blue = part.blue[pixel];
            float largest = red > green ? red : green, smallest = red > green ? green : red;
            largest = largest > blue ? largest : blue;
            smallest = smallest < blue ? smallest : blue;
            const float chroma = largest - smallest;
            const float divisor = chroma > 0.0f ? chroma : 1.0f;
            const float difference = largest == red ? green - blue : largest == green ? blue - red : red - green;
            const float origin = largest == red ? 6.0f : largest == green ? 8.0f : 10.0f;
            // 5...11 from the quotient, 2...14 after the turn.
            float hue = origin + difference / divisor + 6.0f * turns;
            hue = hue >= 6.0f ? hue - 6.0f : hue;
            hue = hue >= 6.0f ? hue - 6.0f : hue;
            part.red[pixel] = scale * channel_of(hue, 5.0f, largest, chroma);
            part.green[pixel] = scale * channel_of(hue, 3.0f, largest, chroma);
            part.blue[pixel] = scale * channel_of(hue, 1.0f, largest, chroma);
        }
        join(count, &part, pixels + 3 * start);
    }
}
