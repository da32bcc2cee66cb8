// Deformable sampling, forward. Per query and head: softmax over the logits, the sampling locations, a list of the corners
// that lie inside their level with their weights, and then one pass over that list that only loads and multiplies.
#include "DeformableSampling.h"

#include "Vectors.h"

/// A corner of a bilinear interpolation: where its channels start in `value`, and what they are multiplied by.
typedef struct {
    int64_t offset;
    float weight;
} corner;

/// Attention weights of one head: softmax over all levels and points together.
INLINE void attention_weights(const float *logits, int64_t count, float *weights) {
    float largest = logits[0];
    for (int64_t index = 1; index < count; index++) largest = logits[index] > largest ? logits[index] : largest;
    for (int64_t index = 0; index < count; index++) weights[index] = exponential(logits[index] - largest);
    float sum = 0;
    for (int64_t index = 0; index < count; index++) sum += weights[index];
    const float scale = 1.0f / sum;
    for (int64_t index = 0; index < count; index++) weights[index] *= scale;
}

/// Appends the corners of the pixel location (x, y) that lie inside the level; a pixel's centre has whole coordinates.
INLINE int64_t append_corners(corner *corners, int64_t count, float x, float y, float weight, int64_t height, int64_t width,
                              int64_t level_offset, int64_t row_stride) {
    // Written so that NaN fails the test.
    if (!(x > -1.0f && y > -1.0f && x < (float)width && y < (float)height)) return count;
    const float left = __builtin_floorf(x), top = __builtin_floorf(y);
    const float right_share = x - left, bottom_share = y - top;
    const int64_t column = (int64_t)left, row = (int64_t)top;
    const int64_t offset = level_offset + (row * width + column) * row_stride;
    const int has_left = column >= 0, has_right = column + 1 < width;
    if (row >= 0) {
        const float share = weight * (1.0f - bottom_share);
        corners[count] = (corner){offset, share * (1.0f - right_share)};
        count += has_left;
        corners[count] = (corner){offset + row_stride, share * right_share};
        count += has_right;
    }
    if (row + 1 < height) {
        const float share = weight * bottom_share;
        corners[count] = (corner){offset + width * row_stride, share * (1.0f - right_share)};
        count += has_left;
        corners[count] = (corner){offset + (width + 1) * row_stride, share * right_share};
        count += has_right;
    }
    return count;
}

/// The weighted sum of the listed corners, `width` channels each.
INLINE void gather(const float *value, const corner *corners, int64_t count, int64_t width, float *output) {
    int64_t channel = 0;
    for (; channel + 2 * lanes <= width; channel += 2 * lanes) {
        vector low = {0}, high = {0};
        for (int64_t index = 0; index < count; index++) {
            const float *source = value + corners[index].offset + channel;
            low += CONSTANT_VECTOR(source) * corners[index].weight;
            high += CONSTANT_VECTOR(source + lanes) * corners[index].weight;
        }
        VECTOR(output + channel) = low;
        VECTOR(output + channel + lanes) = high;
    }
    for (; channel + lanes <= width; channel += lanes) {
        vector sum = {0};
        for (int64_t index = 0; index < count; index++)
            sum += CONSTANT_VECTOR(value + corners[index].offset + channel) * corners[index].weight;
        VECTOR(output + channel) = sum;
    }
    for (; channel < width; channel++) {
        float sum = 0;
        for (int64_t index = 0; index < count; index++)
            sum += value[corners[index].offset + channel] * corners[index].weight;
        output[channel] = sum;
    }
}

DISPATCHED void deformable_sampling_forward(const deformable_sampling *operands, int64_t first, int64_t end) {
    const int64_t heads = operands->heads, head_width = operands->head_width;
    const int64_t levels = operands->levels, points = operands->points, samples = levels * points;
    const int64_t reference_width = operands->reference_width, row_stride = heads * head_width;
    float weights[deformable_sampling_maximum_points];
    // One more than can be filled: a corner is written before it is known to count.
    corner corners[4 * deformable_sampling_maximum_points + 1];

    for (int64_t query = first; query < end; query++) {
        const float *offsets = operands->projections + query * 3 * heads * samples;
        const float *logits = offsets + 2 * heads * samples;
        const float *references = operands->references + query * levels * reference_width;
        float *output = operands->output + query * row_stride;
        for (int64_t head = 0; head < heads; head++) {
            attention_weights(logits + head * samples, samples, weights);
            const float *offset = offsets + head * samples * 2;
            int64_t count = 0;
            for (int64_t level = 0; level < levels; level++) {
                const float *reference = references + level * reference_width;
                const int64_t height = operands->level_heights[level], width = operands->level_widths[level];
                const int64_t level_offset = operands->level_starts[level] * row_stride + head * head_width;
                const float center_x = reference[0] * (float)width - 0.5f;
                const float center_y = reference[1] * (float)height - 0.5f;
                // An offset counts in pixels around a centre, or in half-widths of the box, shared among its points.
                const float scale_x =
                    reference_width == 2 ? 1.0f : reference[2] * (float)width * 0.5f / (float)points;
                const float scale_y =
                    reference_width == 2 ? 1.0f : reference[3] * (float)height * 0.5f / (float)points;
                for (int64_t point = 0; point < points; point++) {
                    const int64_t sample = level * points + point;
                    count = append_corners(corners, count, center_x + offset[2 * sample] * scale_x,
                                           center_y + offset[2 * sample + 1] * scale_y, weights[sample], height, width,
                                           level_offset, row_stride);
                }
            }
            gather(operands->value, corners, count, head_width, output + head * head_width);
        }
    }
}
