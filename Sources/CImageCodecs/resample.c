// The two inner loops of the antialiased resize, for the processor's best instruction set.
//
// They add integers, so every instruction set gives the same bytes as Swift's plain version in Resampling.swift.

#include "CImageCodecs.h"

#if defined(__x86_64__) && defined(__linux__) && __has_attribute(target_clones)
#define DISPATCHED __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define DISPATCHED
#endif

/// Weights are in 1/2^22: 32 bits less 8 of the sample and 2 for headroom, as in Pillow's Resample.c.
#define WEIGHT_BITS 22
#define HALF (1 << (WEIGHT_BITS - 1))

/// Bilinear weights are never negative and add up to 1 give or take rounding, so only the top needs clamping.
static inline uint8_t to_byte(int32_t sum) {
    int32_t value = sum >> WEIGHT_BITS;
    return (uint8_t)(value > 255 ? 255 : value);
}

DISPATCHED
void cimage_resample_row(
    const uint8_t *input, uint8_t *output, size_t output_width, const int32_t *starts, const int32_t *counts,
    const int32_t *weights, size_t stride) {
    for (size_t x = 0; x < output_width; x++, output += 3, weights += stride) {
        const uint8_t *pixel = input + (size_t)starts[x] * 3;
        int32_t red = HALF, green = HALF, blue = HALF;
        for (int32_t tap = 0; tap < counts[x]; tap++, pixel += 3) {
            red += pixel[0] * weights[tap];
            green += pixel[1] * weights[tap];
            blue += pixel[2] * weights[tap];
        }
        output[0] = to_byte(red);
        output[1] = to_byte(green);
        output[2] = to_byte(blue);
    }
}

/// Bytes summed at once: the sums stay in registers.
#define BLOCK 64

DISPATCHED
void cimage_resample_rows(
    const uint8_t *input, uint8_t *output, size_t byte_count, size_t row_count, const int32_t *weights) {
    size_t start = 0;
    for (; start + BLOCK <= byte_count; start += BLOCK) {
        int32_t sums[BLOCK];
        for (int byte = 0; byte < BLOCK; byte++) sums[byte] = HALF;
        for (size_t row = 0; row < row_count; row++) {
            const uint8_t *source = input + row * byte_count + start;
            for (int byte = 0; byte < BLOCK; byte++) sums[byte] += source[byte] * weights[row];
        }
        for (int byte = 0; byte < BLOCK; byte++) output[start + byte] = to_byte(sums[byte]);
    }
    for (; start < byte_count; start++) {
        int32_t sum = HALF;
        for (size_t row = 0; row < row_count; row++) sum += input[row * byte_count + start] * weights[row];
        output[start] = to_byte(sum);
    }
}
