/// Rounding to bfloat16, the upper half of a float, and what a ReLU's backward needs in one bit an element.
#ifndef CKERNELS_BFLOAT16_H
#define CKERNELS_BFLOAT16_H

#include <stdint.h>

/// Rounds to the nearest, to the even one of two; what is too large becomes infinity, NaN stays a (quiet) NaN.
void bfloat16_round(int64_t count, const float *data, uint16_t *rounded);

/// The same numbers as floats.
void bfloat16_widen(int64_t count, const uint16_t *data, float *widened);

/// The elements whose signs share one number.
enum { signs_width = 16 };

/// Sets bit `i % 16` of `signs[i / 16]` where `data[i] > 0`, and no others: `ceil(count / 16)` numbers.
void signs_of(int64_t count, const float *data, uint16_t *signs);

/// `result = scale * gradient` where the bit is set, else 0. `result` may be `gradient`.
void signs_mask(int64_t count, float scale, const uint16_t *signs, const float *gradient, float *result);

#endif
