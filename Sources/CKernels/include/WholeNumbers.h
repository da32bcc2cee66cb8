/// Between float32 and whole numbers of 8 bits, which count steps.
#ifndef CKERNELS_WHOLE_NUMBERS_H
#define CKERNELS_WHOLE_NUMBERS_H

#include <stdint.h>

/// `data * scale`, rounded to the nearest whole number, of two the even one, and clamped to 0...255, or to -127...127. NaN becomes
/// the lowest.
void uint8_round(int64_t count, float scale, const float *data, uint8_t *rounded);
void int8_round(int64_t count, float scale, const float *data, int8_t *rounded);

/// `data * step`.
void uint8_widen(int64_t count, float step, const uint8_t *data, float *widened);
void int8_widen(int64_t count, float step, const int8_t *data, float *widened);

#endif
