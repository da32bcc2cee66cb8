/// Loops over the pixels of feature maps, `[pixels, channels]`, that norms and pooling need for training.
#ifndef CKERNELS_MAPS_H
#define CKERNELS_MAPS_H

#include <stdint.h>

/// Adds each channel's sum of the gradients, and of their products with the values, to `sums[channels]` and
/// `products[channels]`.
void maps_gradient_moments(int64_t pixels, int64_t channels, const float *values, const float *gradients, double *sums,
                           double *products);

/// `output = gradients * gradient_scale[channel] + values * value_scale[channel] + shift[channel]`: what the gradient of every
/// norm comes to. `output` may be `gradients`.
void maps_combine(int64_t pixels, int64_t channels, const float *gradients, const float *values, const float *gradient_scale,
                  const float *value_scale, const float *shift, float *output);

/// `output = values * scale[channel] + shift[channel]`, plus `residual` unless that is null, then max(0, x) if `has_relu`.
/// `output` may be `values` or `residual`.
void maps_scale_shift_add(int64_t pixels, int64_t channels, const float *values, const float *scale, const float *shift,
                          const float *residual, int has_relu, float *output);

/// The gradient of a max-pool with a 3x3 window, stride 2, padding 1, for `slice` of one image's channels: each element of
/// `gradient` goes to the first of its window's elements, row by row, that equals the largest.
///
/// `input` and `input_gradient` are `[height, width, channels]`, the latter zero before; `output` and `gradient`
/// `[output_height, output_width, channels]`; all point at the slice's first channel.
void maps_max_pool_3x3_gradient(int64_t height, int64_t width, int64_t channels, int64_t slice, const float *input,
                                int64_t output_height, int64_t output_width, const float *output, const float *gradient,
                                float *input_gradient);

#endif
