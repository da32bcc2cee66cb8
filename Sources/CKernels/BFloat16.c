// Elementwise loops that the compiler vectorises for each instruction set.
#include "BFloat16.h"

#include <stdbool.h>

#include "Vectors.h"

DISPATCHED void bfloat16_round(int64_t count, const float *data, uint16_t *rounded) {
    for (int64_t index = 0; index < count; index++) {
        uint32_t bits;
        memcpy(&bits, data + index, sizeof bits);
        // Half a step of the upper half, less the least bit unless that is odd already, carries into it.
        const uint32_t nearest = bits + 0x7fffu + (bits >> 16 & 1);
        const bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
        rounded[index] = (uint16_t)((is_nan ? bits | 0x00400000u : nearest) >> 16);
    }
}

DISPATCHED void bfloat16_widen(int64_t count, const uint16_t *data, float *widened) {
    for (int64_t index = 0; index < count; index++) {
        const uint32_t bits = (uint32_t)data[index] << 16;
        memcpy(widened + index, &bits, sizeof bits);
    }
}

/// Sixteen comparisons, a bit each in memory.
typedef bool flags __attribute__((ext_vector_type(16)));
typedef int32_t whole_vector __attribute__((vector_size(64), aligned(4), may_alias));

DISPATCHED void signs_of(int64_t count, const float *data, uint16_t *signs) {
    int64_t index = 0;
    for (; index + signs_width <= count; index += signs_width) {
        const flags positive = __builtin_convertvector(CONSTANT_VECTOR(data + index) > 0.0f, flags);
        memcpy(signs + index / signs_width, &positive, sizeof *signs);
    }
    if (index == count) return;
    uint16_t last = 0;
    for (int64_t bit = 0; index + bit < count; bit++)
        if (data[index + bit] > 0.0f) last |= (uint16_t)(1u << bit);
    signs[index / signs_width] = last;
}

DISPATCHED void signs_mask(int64_t count, float scale, const uint16_t *signs, const float *gradient, float *result) {
    int64_t index = 0;
    for (; index + signs_width <= count; index += signs_width) {
        flags kept;
        memcpy(&kept, signs + index / signs_width, sizeof *signs);
        const whole_vector mask = -__builtin_convertvector(kept, whole_vector);
        const whole_vector scaled = (whole_vector)(CONSTANT_VECTOR(gradient + index) * scale);
        *(whole_vector *)(result + index) = scaled & mask;
    }
    for (; index < count; index++)
        result[index] = signs[index / signs_width] >> index % signs_width & 1 ? scale * gradient[index] : 0.0f;
}
