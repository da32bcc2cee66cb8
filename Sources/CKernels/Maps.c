// Loops over feature maps: plain C that the compiler vectorises for each instruction set.
#include "Maps.h"

#include "Vectors.h"

DISPATCHED void maps_gradient_moments(int64_t pixels, int64_t channels, const float *values, const float *gradients,
                                      double *sums, double *products) {
    for (int64_t pixel = 0; pixel < pixels; pixel++) {
        const float *value = values + pixel * channels;
        const float *gradient = gradients + pixel * channels;
        for (int64_t channel = 0; channel < channels; channel++) {
            const double slope = gradient[channel];
            sums[channel] += slope;
            products[channel] += slope * value[channel];
        }
    }
}

DISPATCHED void maps_combine(int64_t pixels, int64_t channels, const float *gradients, const float *values,
                             const float *gradient_scale, const float *value_scale, const float *shift, float *output) {
    for (int64_t pixel = 0; pixel < pixels; pixel++) {
        const int64_t start = pixel * channels;
        for (int64_t channel = 0; channel < channels; channel++)
            output[start + channel] = gradients[start + channel] * gradient_scale[channel] +
                                      values[start + channel] * value_scale[channel] + shift[channel];
    }
}

DISPATCHED void maps_scale_shift_add(int64_t pixels, int64_t channels, const float *values, const float *scale,
                                     const float *shift, const float *residual, int has_relu, float *output) {
    const float least = has_relu ? 0 : -__builtin_inff();
    for (int64_t pixel = 0; pixel < pixels; pixel++) {
        const int64_t start = pixel * channels;
        for (int64_t channel = 0; channel < channels; channel++) {
            float value = values[start + channel] * scale[channel] + shift[channel];
            if (residual) value += residual[start + channel];
            // NaN is not below: it stays, so that it is noticed at the end.
            output[start + channel] = value < least ? least : value;
        }
    }
}

/// One window's gradient for up to `lanes` channels, given to the first of its elements that equals the largest.
INLINE void pass_back(int64_t height, int64_t width, int64_t channels, int64_t count, int64_t output_row,
                      int64_t output_column, const float *input, const float *largest, const float *gradient,
                      float *input_gradient) {
    float rest[lanes];
    for (int64_t channel = 0; channel < count; channel++) rest[channel] = gradient[channel];
    for (int64_t row = 2 * output_row - 1; row <= 2 * output_row + 1; row++) {
        if (row < 0 || row >= height) continue;
        for (int64_t column = 2 * output_column - 1; column <= 2 * output_column + 1; column++) {
            if (column < 0 || column >= width) continue;
            const int64_t start = (row * width + column) * channels;
            for (int64_t channel = 0; channel < count; channel++) {
                const float share = input[start + channel] == largest[channel] ? rest[channel] : 0;
                input_gradient[start + channel] += share;
                rest[channel] -= share;
            }
        }
    }
}

DISPATCHED void maps_max_pool_3x3_gradient(int64_t height, int64_t width, int64_t channels, int64_t slice,
                                           const float *input, int64_t output_height, int64_t output_width,
                                           const float *output, const float *gradient, float *input_gradient) {
    for (int64_t output_row = 0; output_row < output_height; output_row++)
        for (int64_t output_column = 0; output_column < output_width; output_column++) {
            const int64_t place = (output_row * output_width + output_column) * channels;
            int64_t channel = 0;
            for (; channel + lanes <= slice; channel += lanes)
                pass_back(height, width, channels, lanes, output_row, output_column, input + channel,
                          output + place + channel, gradient + place + channel, input_gradient + channel);
            if (channel < slice)
                pass_back(height, width, channels, slice - channel, output_row, output_column, input + channel,
                          output + place + channel, gradient + place + channel, input_gradient + channel);
        }
}
