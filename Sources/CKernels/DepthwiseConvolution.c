// Depth-wise convolution, forward and backward: the taps that meet the map are found once per position, as a range along each
// axis, and the innermost loops run over channels.
#include "DepthwiseConvolution.h"

#include "Vectors.h"

/// A position by its index along each axis.
typedef struct {
    int64_t axes[3];
} place;

INLINE place place_at(int64_t position, const int64_t *extents) {
    return (place){{position / extents[2] / extents[1], position / extents[2] % extents[1], position % extents[2]}};
}

INLINE int64_t volume(const int64_t *extents) { return extents[0] * extents[1] * extents[2]; }

INLINE int64_t smaller(int64_t left, int64_t right) { return left < right ? left : right; }
INLINE int64_t larger(int64_t left, int64_t right) { return left > right ? left : right; }

/// One axis's part in a sum over taps: taps `first`, `first + tap_step`... below `end`, each with the position it meets.
typedef struct {
    int64_t first, end, tap_step;
    /// The position that tap `first` meets, and how it moves from one tap of the sum to the next.
    int64_t position, position_step;
} taps;

/// `target[group, channel] = start[channel] + sum of source * weights` over the taps of three axes. Positions of `source`
/// are rows of `groups * width` channels.
INLINE void sum_over_taps(const taps *axes, const int64_t *source_extents, const int64_t *kernel_extents, int64_t groups,
                          int64_t width, const float *source, const float *weights, const float *start, float *target) {
    const int64_t row = groups * width;
    for (int64_t group = 0; group < groups; group++) {
        for (int64_t channel = 0; channel < width; channel += lanes) {
            const int64_t count = smaller(lanes, width - channel);
            float partial[lanes] = {0};
            if (start) memcpy(partial, start + channel, (size_t)count * sizeof(float));
            vector sum = VECTOR(partial);
            for (int64_t tap0 = axes[0].first, at0 = axes[0].position; tap0 < axes[0].end;
                 tap0 += axes[0].tap_step, at0 += axes[0].position_step)
                for (int64_t tap1 = axes[1].first, at1 = axes[1].position; tap1 < axes[1].end;
                     tap1 += axes[1].tap_step, at1 += axes[1].position_step) {
                    const float *line = source + (at0 * source_extents[1] + at1) * source_extents[2] * row
                                        + group * width + channel;
                    const float *kernel =
                        weights + (tap0 * kernel_extents[1] + tap1) * kernel_extents[2] * width + channel;
                    int64_t at2 = axes[2].position;
                    if (count == lanes) {
                        for (int64_t tap2 = axes[2].first; tap2 < axes[2].end;
                             tap2 += axes[2].tap_step, at2 += axes[2].position_step)
                            sum += CONSTANT_VECTOR(line + at2 * row) * CONSTANT_VECTOR(kernel + tap2 * width);
                    } else {
                        for (int64_t tap2 = axes[2].first; tap2 < axes[2].end;
                             tap2 += axes[2].tap_step, at2 += axes[2].position_step)
                            for (int64_t lane = 0; lane < count; lane++)
                                sum[lane] += line[at2 * row + lane] * kernel[tap2 * width + lane];
                    }
                }
            VECTOR(partial) = sum;
            memcpy(target + group * width + channel, partial, (size_t)count * sizeof(float));
        }
    }
}

DISPATCHED void depthwise_convolution_forward(const depthwise_convolution *convolution, int64_t first, int64_t end,
                                              const float *input, const float *weights, const float *bias,
                                              float *output) {
    const int64_t row = convolution->groups * convolution->group_width;
    const int64_t positions = volume(convolution->input_extents), samples = volume(convolution->output_extents);
    for (int64_t index = first; index < end; index++) {
        const place at = place_at(index % samples, convolution->output_extents);
        taps axes[3];
        for (int axis = 0; axis < 3; axis++) {
            // Tap t meets position origin + t.
            const int64_t origin = at.axes[axis] * convolution->steps[axis] - convolution->padding[axis];
            const int64_t first_tap = larger(0, -origin);
            axes[axis] = (taps){
                .first = first_tap,
                .end = smaller(convolution->kernel_extents[axis], convolution->input_extents[axis] - origin),
                .tap_step = 1,
                .position = origin + first_tap,
                .position_step = 1,
            };
        }
        sum_over_taps(axes, convolution->input_extents, convolution->kernel_extents, convolution->groups,
                      convolution->group_width, input + index / samples * positions * row, weights, bias,
                      output + index * row);
    }
}

DISPATCHED void depthwise_convolution_input_gradient(const depthwise_convolution *convolution, int64_t first, int64_t end,
                                                     const float *output_gradient, const float *weights,
                                                     float *input_gradient) {
    const int64_t row = convolution->groups * convolution->group_width;
    const int64_t positions = volume(convolution->input_extents), samples = volume(convolution->output_extents);
    for (int64_t index = first; index < end; index++) {
        const place at = place_at(index % positions, convolution->input_extents);
        taps axes[3];
        for (int axis = 0; axis < 3; axis++) {
            // Tap t came from output position (padded - t) / step, where that is whole; the last of them is met first.
            const int64_t step = convolution->steps[axis], padded = at.axes[axis] + convolution->padding[axis];
            const int64_t last = smaller(padded / step, convolution->output_extents[axis] - 1);
            axes[axis] = (taps){
                .first = padded - last * step,
                .end = smaller(convolution->kernel_extents[axis], padded + 1),
                .tap_step = step,
                .position = last,
                .position_step = -1,
            };
        }
        sum_over_taps(axes, convolution->output_extents, convolution->kernel_extents, convolution->groups,
                      convolution->group_width, output_gradient + index / positions * samples * row, weights, 0,
                      input_gradient + index * row);
    }
}

/// The output positions along an axis whose tap `tap` meets the map: `*first..<` the returned end.
INLINE int64_t positions_met(const depthwise_convolution *convolution, int axis, int64_t tap, int64_t *first) {
    const int64_t step = convolution->steps[axis], origin = tap - convolution->padding[axis];
    *first = origin < 0 ? (-origin + step - 1) / step : 0;
    const int64_t rest = convolution->input_extents[axis] - origin;
    return smaller(convolution->output_extents[axis], rest > 0 ? (rest + step - 1) / step : 0);
}

DISPATCHED void depthwise_convolution_weight_gradient(const depthwise_convolution *convolution, int64_t first,
                                                      int64_t end, const float *input, const float *output_gradient,
                                                      float *weight_gradient) {
    const int64_t groups = convolution->groups, width = convolution->group_width;
    const int64_t *input_extents = convolution->input_extents, *output_extents = convolution->output_extents;
    const int64_t *steps = convolution->steps, *padding = convolution->padding;
    for (int64_t index = first; index < end; index++) {
        const place tap = place_at(index, convolution->kernel_extents);
        float *target = weight_gradient + index * width;
        memset(target, 0, (size_t)width * sizeof(float));
        place starts;
        int64_t ends[3];
        for (int axis = 0; axis < 3; axis++)
            ends[axis] = positions_met(convolution, axis, tap.axes[axis], &starts.axes[axis]);
        for (int64_t image = 0; image < convolution->images; image++)
            for (int64_t at0 = starts.axes[0]; at0 < ends[0]; at0++)
                for (int64_t at1 = starts.axes[1]; at1 < ends[1]; at1++)
                    for (int64_t at2 = starts.axes[2]; at2 < ends[2]; at2++) {
                        const int64_t from0 = at0 * steps[0] - padding[0] + tap.axes[0];
                        const int64_t from1 = at1 * steps[1] - padding[1] + tap.axes[1];
                        const int64_t from2 = at2 * steps[2] - padding[2] + tap.axes[2];
                        const float *source =
                            input
                            + (((image * input_extents[0] + from0) * input_extents[1] + from1) * input_extents[2] + from2)
                                  * groups * width;
                        const float *gradient =
                            output_gradient
                            + (((image * output_extents[0] + at0) * output_extents[1] + at1) * output_extents[2] + at2)
                                  * groups * width;
                        for (int64_t group = 0; group < groups; group++)
                            for (int64_t channel = 0; channel < width; channel++)
                                target[channel] +=
                                    source[group * width + channel] * gradient[group * width + channel];
                    }
    }
}
