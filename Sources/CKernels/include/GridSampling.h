/// Sampling of a feature map at arbitrary locations, linearly along each of 1, 2 or 3 axes, zeros outside.
///
/// - Source: `torch.nn.functional.grid_sample` with `align_corners=False`, `padding_mode="zeros"`.
#ifndef CKERNELS_GRID_SAMPLING_H
#define CKERNELS_GRID_SAMPLING_H

#include <stdint.h>

/// What is sampled where. N images, S positions of the map, P samples, G groups of D channels, n components of a location.
///
/// A location's component v in -1...1 spans its axis from edge to edge: `pixel = ((v + 1) * extent - 1) / 2`, a position's
/// centre being a whole number. A component that is not finite, or more than a step outside, makes the sample zero.
typedef struct {
    /// n
    int64_t rank;
    /// Of the axis that each component runs along: how many positions it has, and how many positions apart they lie.
    int64_t extents[3], strides[3];
    int64_t positions, samples, groups, group_width;
    /// `[N, S, G * D]`
    const float *input;
    /// `[N, G, P, n]`
    const float *locations;
} grid_sampling;

/// The channels of one unit of `grid_sampling_input_gradient`.
enum { grid_sampling_block = 64 };

/// Writes rows `first..<end` of the output, `[N * P, G * D]`.
void grid_sampling_forward(const grid_sampling *sampling, int64_t first, int64_t end, float *output);

/// Writes the gradients of the locations, `[N, G, P, n]`, of samples `first..<end` of all N * G * P, from the output's,
/// `[N, P, G * D]`.
void grid_sampling_location_gradient(const grid_sampling *sampling, int64_t first, int64_t end,
                                     const float *output_gradient, float *location_gradient);

/// Adds to the gradient of the input, `[N, S, G * D]`, the part of units `first..<end`: a unit is an image's block of at
/// most `grid_sampling_block` channels of one group, N * G * ceil(D / block) in all.
void grid_sampling_input_gradient(const grid_sampling *sampling, int64_t first, int64_t end,
                                  const float *output_gradient, float *input_gradient);

#endif
