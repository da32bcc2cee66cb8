// Row loops: plain C that the compiler vectorises for each instruction set.
#include "Rows.h"

#include <math.h>

#include "Vectors.h"

DISPATCHED void rows_add(int64_t count, const float *left, const float *right, float *output) {
    for (int64_t index = 0; index < count; index++) output[index] = left[index] + right[index];
}

DISPATCHED void rows_add_position(int64_t pixels, int64_t half, const float *input, const float *row, const float *columns,
                                  float *output) {
    for (int64_t pixel = 0; pixel < pixels; pixel++) {
        const float *source = input + pixel * 2 * half;
        float *target = output + pixel * 2 * half;
        for (int64_t index = 0; index < half; index++) target[index] = source[index] + row[index];
        for (int64_t index = 0; index < half; index++) target[half + index] = source[half + index] + columns[pixel * half + index];
    }
}

/// The sum of `width` floats, in sixteen interleaved partial sums.
INLINE float sum(const float *data, int64_t width) {
    vector partial = {0};
    int64_t index = 0;
    for (; index + lanes <= width; index += lanes) partial += CONSTANT_VECTOR(data + index);
    float total = sum_of_lanes(&partial);
    for (; index < width; index++) total += data[index];
    return total;
}

INLINE float sum_of_squared_differences(const float *data, int64_t width, float mean) {
    vector partial = {0};
    int64_t index = 0;
    for (; index + lanes <= width; index += lanes) {
        const vector difference = CONSTANT_VECTOR(data + index) - mean;
        partial += difference * difference;
    }
    float total = sum_of_lanes(&partial);
    for (; index < width; index++) total += (data[index] - mean) * (data[index] - mean);
    return total;
}

/// The norm of up to four rows at once, whose sums need not wait for each other; in the same order for any number of them.
INLINE void normalize(int rows, int64_t width, const float *input, const float *gain, const float *bias, float epsilon,
                      float *output) {
    const int64_t end = width - width % lanes;
    vector partial[4] = {{0}, {0}, {0}, {0}}, squares[4] = {{0}, {0}, {0}, {0}};
    float means[4], scales[4];
    for (int64_t index = 0; index < end; index += lanes)
        for (int row = 0; row < rows; row++) partial[row] += CONSTANT_VECTOR(input + row * width + index);
    sums_of_lanes(partial, means);
    for (int row = 0; row < rows; row++) {
        for (int64_t index = end; index < width; index++) means[row] += input[row * width + index];
        means[row] /= (float)width;
    }
    for (int64_t index = 0; index < end; index += lanes) {
        for (int row = 0; row < rows; row++) {
            const vector difference = CONSTANT_VECTOR(input + row * width + index) - means[row];
            squares[row] += difference * difference;
        }
    }
    sums_of_lanes(squares, scales);
    for (int row = 0; row < rows; row++) {
        for (int64_t index = end; index < width; index++) {
            const float difference = input[row * width + index] - means[row];
            scales[row] += difference * difference;
        }
        scales[row] = 1.0f / sqrtf(scales[row] / (float)width + epsilon);
    }
    for (int64_t index = 0; index < end; index += lanes) {
        const vector slope = CONSTANT_VECTOR(gain + index), shift = CONSTANT_VECTOR(bias + index);
        for (int row = 0; row < rows; row++)
            VECTOR(output + row * width + index) =
                (CONSTANT_VECTOR(input + row * width + index) - means[row]) * scales[row] * slope + shift;
    }
    for (int row = 0; row < rows; row++)
        for (int64_t index = end; index < width; index++)
            output[row * width + index] = (input[row * width + index] - means[row]) * scales[row] * gain[index] + bias[index];
}

DISPATCHED void rows_layer_norm(int64_t rows, int64_t width, const float *input, const float *gain, const float *bias,
                                float epsilon, float *output, const float *position, float *output_with_position) {
    int64_t row = 0;
    for (; row + 4 <= rows; row += 4)
        normalize(4, width, input + row * width, gain, bias, epsilon, output + row * width);
    for (; row < rows; row++) normalize(1, width, input + row * width, gain, bias, epsilon, output + row * width);
    if (position) rows_add(rows * width, output, position, output_with_position);
}

DISPATCHED void rows_layer_norm_gradient(int64_t rows, int64_t width, const float *input, const float *gain, float epsilon,
                                         const float *gradient, float *input_gradient, float *gain_gradient,
                                         float *bias_gradient) {
    for (int64_t row = 0; row < rows; row++) {
        const float *source = input + row * width;
        const float *line = gradient + row * width;
        float *target = input_gradient + row * width;
        const float mean = sum(source, width) / (float)width;
        const float variance = sum_of_squared_differences(source, width, mean) / (float)width;
        const float scale = 1.0f / sqrtf(variance + epsilon);
        vector partial = {0}, partial_product = {0};
        int64_t index = 0;
        for (; index + lanes <= width; index += lanes) {
            const vector scaled = CONSTANT_VECTOR(line + index) * CONSTANT_VECTOR(gain + index);
            partial += scaled;
            partial_product += scaled * (CONSTANT_VECTOR(source + index) - mean);
        }
        float total = sum_of_lanes(&partial), product = sum_of_lanes(&partial_product);
        for (; index < width; index++) {
            total += line[index] * gain[index];
            product += line[index] * gain[index] * (source[index] - mean);
        }
        const float shift = total / (float)width;
        const float slope = product / (float)width * scale * scale;
        for (index = 0; index < width; index++) {
            bias_gradient[index] += line[index];
            gain_gradient[index] += line[index] * (source[index] - mean) * scale;
        }
        for (index = 0; index < width; index++)
            target[index] = scale * (line[index] * gain[index] - shift - slope * (source[index] - mean));
    }
}

DISPATCHED void rows_softmax(int64_t rows, int64_t width, float scale, float *data) {
    for (int64_t row = 0; row < rows; row++) {
        float *line = data + row * width;
        float largest = line[0] * scale;
        for (int64_t index = 1; index < width; index++) {
            const float scaled = line[index] * scale;
            largest = scaled > largest ? scaled : largest;
        }
        for (int64_t index = 0; index < width; index++) line[index] = exponential(line[index] * scale - largest);
        const float inverse = 1.0f / sum(line, width);
        for (int64_t index = 0; index < width; index++) line[index] *= inverse;
    }
}

DISPATCHED void rows_softmax_gradient(int64_t rows, int64_t width, const float *probabilities, float *gradient) {
    for (int64_t row = 0; row < rows; row++) {
        const float *shares = probabilities + row * width;
        float *line = gradient + row * width;
        vector partial = {0};
        int64_t index = 0;
        for (; index + lanes <= width; index += lanes)
            partial += CONSTANT_VECTOR(shares + index) * CONSTANT_VECTOR(line + index);
        float mean = sum_of_lanes(&partial);
        for (; index < width; index++) mean += shares[index] * line[index];
        for (index = 0; index < width; index++) line[index] = shares[index] * (line[index] - mean);
    }
}

/// What dropout multiplies the element numbered `number` by: 0 or `scale`.
INLINE float kept_scale(uint64_t number, uint64_t seed, float probability, float scale) {
    // The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
    uint64_t mixed = seed + (number + 1) * 0x9E3779B97F4A7C15u;
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBu;
    const float drawn = (float)(int32_t)((mixed ^ (mixed >> 31)) >> 40) * 0x1p-24f;
    return drawn < probability ? 0 : scale;
}

DISPATCHED void rows_drop_out(int64_t count, float probability, uint64_t seed, uint64_t first_number, const float *input,
                              const float *residual, float *output) {
    const float scale = 1.0f / (1.0f - probability);
    int64_t index = 0;
    for (; index + lanes <= count; index += lanes) {
        float scales[lanes];
        for (int lane = 0; lane < lanes; lane++)
            scales[lane] = kept_scale(first_number + (uint64_t)(index + lane), seed, probability, scale);
        vector kept = CONSTANT_VECTOR(input + index) * CONSTANT_VECTOR(scales);
        if (residual) kept += CONSTANT_VECTOR(residual + index);
        VECTOR(output + index) = kept;
    }
    for (; index < count; index++) {
        const float kept = input[index] * kept_scale(first_number + (uint64_t)index, seed, probability, scale);
        output[index] = residual ? kept + residual[index] : kept;
    }
}

DISPATCHED void rows_moments(int64_t rows, int64_t width, const float *input, double *sums, double *squares) {
    for (int64_t row = 0; row < rows; row++) {
        const float *source = input + row * width;
        for (int64_t index = 0; index < width; index++) {
            const double value = source[index];
            sums[index] += value;
            squares[index] += value * value;
        }
    }
}

DISPATCHED void rows_scale_shift(int64_t rows, int64_t width, const float *input, const float *scale, const float *shift,
                                 float *output) {
    for (int64_t row = 0; row < rows; row++)
        for (int64_t index = 0; index < width; index++)
            output[row * width + index] = input[row * width + index] * scale[index] + shift[index];
}

/// `target = max(target, source)`; a NaN in either stays, so that it is noticed at the end.
INLINE void keep_larger(float *target, const float *source, int64_t count) {
    for (int64_t index = 0; index < count; index++)
        target[index] = target[index] > source[index] || target[index] != target[index] ? target[index] : source[index];
}

/// The same for bfloat16 that is not negative, whose bits are in the order of its values; NaN has the largest.
INLINE void keep_larger_bits(uint16_t *target, const uint16_t *source, int64_t count) {
    for (int64_t index = 0; index < count; index++)
        target[index] = target[index] > source[index] ? target[index] : source[index];
}

/// Calls `keep` with each pixel of an output row and the others of its window, whose middle is always inside the image.
#define MAX_POOL_3X3(keep)                                                                                                  \
    for (int64_t output_column = 0; output_column < output_width; output_column++) {                                        \
        const int64_t place = output_column * channels;                                                                     \
        memcpy(output + place, input + (2 * output_row * width + 2 * output_column) * channels,                             \
               (size_t)channels * sizeof *output);                                                                          \
        for (int64_t row = 2 * output_row - 1; row <= 2 * output_row + 1; row++) {                                          \
            if (row < 0 || row >= height) continue;                                                                         \
            for (int64_t column = 2 * output_column - 1; column <= 2 * output_column + 1; column++) {                       \
                if (column < 0 || column >= width) continue;                                                                \
                keep(output + place, input + (row * width + column) * channels, channels);                                  \
            }                                                                                                               \
        }                                                                                                                   \
    }

DISPATCHED void rows_max_pool_3x3(int64_t height, int64_t width, int64_t channels, const float *input, int64_t output_row,
                                  int64_t output_width, float *output) {
    MAX_POOL_3X3(keep_larger)
}

DISPATCHED void rows_max_pool_3x3_bfloat16(int64_t height, int64_t width, int64_t channels, const uint16_t *input,
                                           int64_t output_row, int64_t output_width, uint16_t *output) {
    MAX_POOL_3X3(keep_larger_bits)
}

DISPATCHED void rows_add_column_sums(int64_t rows, int64_t width, const float *input, float *sums) {
    for (int64_t row = 0; row < rows; row++)
        for (int64_t index = 0; index < width; index++) sums[index] += input[row * width + index];
}
