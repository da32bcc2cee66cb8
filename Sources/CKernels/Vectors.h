/// What the kernels share: run-time dispatch, 16-float vectors, and an exponential that vectorises.
#ifndef CKERNELS_VECTORS_H
#define CKERNELS_VECTORS_H

#include <stdint.h>
#include <string.h>

/// Compiles a function for AVX-512, AVX2 and the x86-64 baseline; the loader picks one when the program starts.
#if defined(__x86_64__) && defined(__linux__)
#define DISPATCHED __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define DISPATCHED
#endif

/// Inlined into each clone, so that it takes the clone's instruction set.
#define INLINE static inline __attribute__((always_inline))

enum { lanes = 16 };

/// Sixteen floats at any address; the compiler splits them where registers are narrower. Vectors are never passed to or
/// returned from functions: how that is done differs between instruction sets.
typedef float vector __attribute__((vector_size(64), aligned(4), may_alias));

/// The sixteen floats at an address, to read or to write.
#define VECTOR(address) (*(vector *)(address))
#define CONSTANT_VECTOR(address) (*(const vector *)(address))

/// In halves, so that no addition waits for more than three others.
INLINE float sum_of_lanes(const vector *value) {
    float partial[lanes];
    VECTOR(partial) = *value;
    for (int half = lanes / 2; half > 0; half /= 2)
        for (int lane = 0; lane < half; lane++) partial[lane] += partial[lane + half];
    return partial[0];
}

/// The sums of four vectors' lanes.
INLINE void sums_of_lanes(const vector values[4], float sums[4]) {
    // Halves of two vectors side by side, then quarters of all four, then pairs.
    const vector first =
        __builtin_shufflevector(values[0], values[1], 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
        __builtin_shufflevector(values[0], values[1], 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
    const vector second =
        __builtin_shufflevector(values[2], values[3], 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
        __builtin_shufflevector(values[2], values[3], 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
    const vector quarters =
        __builtin_shufflevector(first, second, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
        __builtin_shufflevector(first, second, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
    const vector pairs =
        quarters + __builtin_shufflevector(quarters, quarters, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
    const vector whole = pairs + __builtin_shufflevector(pairs, pairs, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
    for (int index = 0; index < 4; index++) sums[index] = whole[4 * index];
}

/// A vector with its lanes so many places on, round the end.
#define ROTATED_8(value) __builtin_shufflevector(value, value, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7)
#define ROTATED_4(value) __builtin_shufflevector(value, value, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11)
#define ROTATED_2(value) __builtin_shufflevector(value, value, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13)
#define ROTATED_1(value) __builtin_shufflevector(value, value, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14)

/// Puts the sum of a vector's lanes into each of them.
INLINE void spread_sum_of_lanes(vector *value) {
    *value += ROTATED_8(*value);
    *value += ROTATED_4(*value);
    *value += ROTATED_2(*value);
    *value += ROTATED_1(*value);
}

/// The larger of each lane; of a NaN, either.
INLINE void keep_larger_lanes(vector *target, const vector *other) {
    typedef int32_t choices __attribute__((vector_size(64), aligned(4), may_alias));
    const choices is_larger = *target > *other;
    *target = (vector)(((choices)*target & is_larger) | ((choices)*other & ~is_larger));
}

/// Puts the largest of a vector's lanes into each of them.
INLINE void spread_largest_lane(vector *value) {
    vector other = ROTATED_8(*value);
    keep_larger_lanes(value, &other);
    other = ROTATED_4(*value);
    keep_larger_lanes(value, &other);
    other = ROTATED_2(*value);
    keep_larger_lanes(value, &other);
    other = ROTATED_1(*value);
    keep_larger_lanes(value, &other);
}

/// e^x within 2 units in the last place for x <= 0; 0 below -87.3. NaN stays NaN.
///
/// - Source: range reduction by ln 2 in two parts (Cody and Waite), polynomial of S. Moshier's Cephes `expf`.
INLINE float exponential(float x) {
    const float limited = x < -87.3f ? -87.3f : x;
    // Adding 1.5 * 2^23 rounds to the nearest whole number.
    const float shifter = 12582912.0f;
    const float whole = (limited * 1.44269504088896341f + shifter) - shifter;
    const float rest = (limited - whole * 0.693359375f) - whole * -2.12194440e-4f;
    float polynomial = 1.9875691500e-4f;
    polynomial = polynomial * rest + 1.3981999507e-3f;
    polynomial = polynomial * rest + 8.3334519073e-3f;
    polynomial = polynomial * rest + 4.1665795894e-2f;
    polynomial = polynomial * rest + 1.6666665459e-1f;
    polynomial = polynomial * rest + 5.0000001201e-1f;
    const float fraction = polynomial * rest * rest + rest + 1.0f;
    // 2^whole, from its exponent bits; NaN has no whole part to convert.
    const int32_t exponent = whole == whole ? (int32_t)whole : 0;
    const uint32_t bits = (uint32_t)(exponent + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return x < -87.3f ? 0.0f : fraction * power;
}

/// ln x within 1 unit in the last place for finite x >= 1; infinity and NaN stay.
///
/// - Source: polynomial of S. Moshier's Cephes `logf`.
INLINE float logarithm(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    // x = fraction * 2^exponent with sqrt(1/2) <= fraction < sqrt(2).
    const uint32_t shifted = bits - 0x3f3504f3u;
    const int32_t exponent = (int32_t)shifted >> 23;
    const uint32_t fraction_bits = (shifted & 0x007fffffu) + 0x3f3504f3u;
    float fraction;
    memcpy(&fraction, &fraction_bits, sizeof fraction);
    const float rest = fraction - 1.0f, square = rest * rest;
    float polynomial = 7.0376836292e-2f;
    polynomial = polynomial * rest - 1.1514610310e-1f;
    polynomial = polynomial * rest + 1.1676998740e-1f;
    polynomial = polynomial * rest - 1.2420140846e-1f;
    polynomial = polynomial * rest + 1.4249322787e-1f;
    polynomial = polynomial * rest - 1.6668057665e-1f;
    polynomial = polynomial * rest + 2.0000714765e-1f;
    polynomial = polynomial * rest - 2.4999993993e-1f;
    polynomial = polynomial * rest + 3.3333331174e-1f;
    const float scale = (float)exponent;
    const float result = (polynomial * rest * square + scale * -2.12194440e-4f - 0.5f * square) + rest + scale * 0.693359375f;
    return x <= 3.4028234664e38f ? result : x;
}

#endif
