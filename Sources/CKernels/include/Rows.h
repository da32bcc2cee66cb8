/// Loops over rows of `[rows, width]` arrays: sums, norms, softmax, pooling.
#ifndef CKERNELS_ROWS_H
#define CKERNELS_ROWS_H

#include <stdint.h>

/// `output = left + right`, elementwise; `output` may be either operand.
void rows_add(int64_t count, const float *left, const float *right, float *output);

/// Adds position encodings to pixels of one row, `[pixels, 2 half]`: the row's to the first half of the channels, the columns',
/// `[pixels, half]`, to the second. `output` may be `input`.
void rows_add_position(int64_t pixels, int64_t half, const float *input, const float *row, const float *columns, float *output);

/// Layer normalisation of each row: `(x - mean) / sqrt(variance + epsilon) * gain + bias`. `output` may be `input`.
///
/// With `position`, also `output_with_position = output + position`: the next layer's query.
void rows_layer_norm(int64_t rows, int64_t width, const float *input, const float *gain, const float *bias, float epsilon,
                     float *output, const float *position, float *output_with_position);

/// The backward of `rows_layer_norm`: with x' the normalised input and d = gradient * gain, the input's gradient is
/// `(d - mean(d) - x' mean(d x')) / sqrt(variance + epsilon)`. Adds `gradient * x'` and `gradient`, summed over the rows, to
/// `gain_gradient[width]` and `bias_gradient[width]`.
void rows_layer_norm_gradient(int64_t rows, int64_t width, const float *input, const float *gain, float epsilon,
                              const float *gradient, float *input_gradient, float *gain_gradient, float *bias_gradient);

/// Softmax of each row of `scale * x`, in place.
void rows_softmax(int64_t rows, int64_t width, float scale, float *data);

/// The gradient of softmax's input from that of its output, in place: `p * (gradient - sum of p * gradient over the row)`.
void rows_softmax_gradient(int64_t rows, int64_t width, const float *probabilities, float *gradient);

/// Sets about a share `probability` of the elements to 0 and divides the others by `1 - probability`, then adds `residual` unless
/// it is null. Which ones is fixed by `seed` and the element's number, `first_number` for the first. `output` may be `input`.
void rows_drop_out(int64_t count, float probability, uint64_t seed, uint64_t first_number, const float *input,
                   const float *residual, float *output);

/// Adds each channel's sum and sum of squares over the rows to `sums[width]` and `squares[width]`.
void rows_moments(int64_t rows, int64_t width, const float *input, double *sums, double *squares);

/// `output = input * scale[channel] + shift[channel]`; `output` may be `input`.
void rows_scale_shift(int64_t rows, int64_t width, const float *input, const float *scale, const float *shift, float *output);

/// One output row of a max-pool with a 3x3 window, stride 2, padding 1: `input` is one image `[height, width, channels]`,
/// `output` the row `[output_width, channels]` numbered `output_row`.
void rows_max_pool_3x3(int64_t height, int64_t width, int64_t channels, const float *input, int64_t output_row,
                       int64_t output_width, float *output);

/// The same for bfloat16 that is not negative.
void rows_max_pool_3x3_bfloat16(int64_t height, int64_t width, int64_t channels, const uint16_t *input, int64_t output_row,
                                int64_t output_width, uint16_t *output);

/// Adds each column's sum over the rows to `sums[width]`.
void rows_add_column_sums(int64_t rows, int64_t width, const float *input, float *sums);

#endif
