// Elementwise loops that the compiler vectorises for each instruction set.
#include "WholeNumbers.h"

#include "Vectors.h"

/// Clamped, then rounded: adding 1.5 * 2^23 leaves no room for a fraction.
INLINE int32_t clamped_and_rounded(float value, float low, float high) {
    const float shifter = 12582912.0f;
    const float above = value > low ? value : low;
    const float within = above < high ? above : high;
    return (int32_t)((within + shifter) - shifter);
}

DISPATCHED void uint8_round(int64_t count, float scale, const float *data, uint8_t *rounded) {
    for (int64_t index = 0; index < count; index++)
        rounded[index] = (uint8_t)clamped_and_rounded(data[index] * scale, 0.0f, 255.0f);
}

DISPATCHED void int8_round(int64_t count, float scale, const float *data, int8_t *rounded) {
    for (int64_t index = 0; index < count; index++)
        rounded[index] = (int8_t)clamped_and_rounded(data[index] * scale, -127.0f, 127.0f);
}

DISPATCHED void uint8_widen(int64_t count, float step, const uint8_t *data, float *widened) {
    for (int64_t index = 0; index < count; index++) widened[index] = (float)data[index] * step;
}

DISPATCHED void int8_widen(int64_t count, float step, const int8_t *data, float *widened) {
    for (int64_t index = 0; index < count; index++) widened[index] = (float)data[index] * step;
}
