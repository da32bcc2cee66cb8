/// Convolution of every channel with a kernel of its own, over 3 axes; fewer axes are extents of 1.
///
/// - Source: `torch.nn.Conv3d` with as many groups as channels.
#ifndef CKERNELS_DEPTHWISE_CONVOLUTION_H
#define CKERNELS_DEPTHWISE_CONVOLUTION_H

#include <stdint.h>

/// N images, S input and P output positions (products of the extents, outermost axis first), G groups of D channels; the
/// groups share one kernel of T taps (the product of its extents).
typedef struct {
    int64_t images, groups, group_width;
    int64_t input_extents[3], output_extents[3], kernel_extents[3];
    /// Input positions from one output position to the next, and zeros before the first input position.
    int64_t steps[3], padding[3];
} depthwise_convolution;

/// Writes rows `first..<end` of the output, `[N * P, G, D]`, from the input `[N, S, G, D]`, the weights `[T, D]` and the
/// bias `[D]`.
void depthwise_convolution_forward(const depthwise_convolution *convolution, int64_t first, int64_t end,
                                   const float *input, const float *weights, const float *bias, float *output);

/// Writes rows `first..<end` of the gradient of the input, `[N * S, G, D]`, from the output's, `[N, P, G, D]`.
void depthwise_convolution_input_gradient(const depthwise_convolution *convolution, int64_t first, int64_t end,
                                          const float *output_gradient, const float *weights, float *input_gradient);

/// Writes rows `first..<end` of the gradient of the weights, `[T, D]`.
void depthwise_convolution_weight_gradient(const depthwise_convolution *convolution, int64_t first, int64_t end,
                                           const float *input, const float *output_gradient, float *weight_gradient);

#endif
