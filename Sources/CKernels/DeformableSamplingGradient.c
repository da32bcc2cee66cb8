// The backward of deformable sampling. Per query and head: the locations again, and at each corner one pass that spreads the
// output's gradient to the corner's pixel and sums its product with that pixel, from which all other gradients follow.
#include "DeformableSamplingParts.h"

/// One head's view of a level for one query. A sample lies at `center + offset * scale`, in pixels; a pixel's centre has whole
/// coordinates.
typedef struct {
    int64_t height, width;
    /// Where the head's channels of the level's first pixel start in `value`.
    int64_t start;
    float center_x, center_y, scale_x, scale_y;
} level_view;

INLINE level_view view_of_level(const deformable_sampling_source *source, const float *reference, int64_t reference_width,
                                int64_t level, int64_t head) {
    const int64_t height = source->level_heights[level], width = source->level_widths[level];
    const int is_point = reference_width == 2;
    const float points = (float)source->points;
    return (level_view){
        .height = height,
        .width = width,
        .start = source->level_starts[level] * source->pixel_stride + head * source->head_stride,
        .center_x = reference[0] * (float)width - 0.5f,
        .center_y = reference[1] * (float)height - 0.5f,
        // An offset counts in pixels around a centre, or in half-widths of the box, shared among its points.
        .scale_x = is_point ? 1.0f : reference[2] * (float)width * 0.5f / points,
        .scale_y = is_point ? 1.0f : reference[3] * (float)height * 0.5f / points,
    };
}

/// The four pixels around a location, some of which may lie outside the level.
typedef struct {
    /// Where the channels of the top left pixel start in `value`; before the level's start if that pixel is outside.
    int64_t offset;
    int has_left, has_right, has_top, has_bottom;
    /// How much of the right and of the bottom pixels is in the sample.
    float right_share, bottom_share;
} cell;

/// Whether any pixel is near; as in PyTorch's grid_sample, a location exactly a pixel outside at the left or top still is.
INLINE int find_cell(const level_view *level, float x, float y, int64_t pixel_stride, cell *found) {
    // Written so that NaN fails the test.
    if (!(x >= -1.0f && y >= -1.0f && x < (float)level->width && y < (float)level->height)) return 0;
    const float left = __builtin_floorf(x), top = __builtin_floorf(y);
    const int64_t column = (int64_t)left, row = (int64_t)top;
    *found = (cell){
        .offset = level->start + (row * level->width + column) * pixel_stride,
        .has_left = column >= 0,
        .has_right = column + 1 < level->width,
        .has_top = row >= 0,
        .has_bottom = row + 1 < level->height,
        .right_share = x - left,
        .bottom_share = y - top,
    };
    return 1;
}

/// Adds `weight * gradient` to a pixel's gradient and returns the product of the gradient with the pixel, `width` channels each.
INLINE float spread_to_pixel(const float *gradient, const float *pixel, float weight, int64_t width, float *pixel_gradient) {
    vector products = {0};
    int64_t channel = 0;
    for (; channel + lanes <= width; channel += lanes) {
        const vector incoming = CONSTANT_VECTOR(gradient + channel);
        products += incoming * CONSTANT_VECTOR(pixel + channel);
        VECTOR(pixel_gradient + channel) += incoming * weight;
    }
    float product = sum_of_lanes(&products);
    for (; channel < width; channel++) {
        product += gradient[channel] * pixel[channel];
        pixel_gradient[channel] += gradient[channel] * weight;
    }
    return product;
}

/// The same for four pixels at once: one summing of lanes serves them all.
INLINE void spread_to_pixels(const float *gradient, const float *value, const int64_t offsets[4], const float weights[4],
                             int64_t width, float *value_gradient, float products[4]) {
    vector sums[4] = {{0}, {0}, {0}, {0}};
    int64_t channel = 0;
    for (; channel + lanes <= width; channel += lanes) {
        const vector incoming = CONSTANT_VECTOR(gradient + channel);
        for (int index = 0; index < 4; index++) {
            const int64_t place = offsets[index] + channel;
            sums[index] += incoming * CONSTANT_VECTOR(value + place);
            VECTOR(value_gradient + place) += incoming * weights[index];
        }
    }
    sums_of_lanes(sums, products);
    for (; channel < width; channel++) {
        for (int index = 0; index < 4; index++) {
            const int64_t place = offsets[index] + channel;
            products[index] += gradient[channel] * value[place];
            value_gradient[place] += gradient[channel] * weights[index];
        }
    }
}

/// What one sample's location and attention weight do to the loss.
typedef struct {
    /// Derivatives by the location in pixels, at attention weight 1.
    float x, y;
    /// The derivative by the attention weight.
    float weight;
} sample_gradient;

/// The gradients of the sample in `around`; its pixels' gradients are added to `value_gradient`.
INLINE sample_gradient spread_sample(const deformable_sampling_source *source, const float *gradient, const level_view *level,
                                     const cell *around, float weight, float *value_gradient) {
    const int64_t width = source->head_width, right = source->pixel_stride, below = level->width * right;
    const float right_share = around->right_share, left_share = 1.0f - right_share;
    const float bottom_share = around->bottom_share, top_share = 1.0f - bottom_share;
    // Top left, top right, bottom left, bottom right.
    const int inside[4] = {around->has_top && around->has_left, around->has_top && around->has_right,
                           around->has_bottom && around->has_left, around->has_bottom && around->has_right};
    const int64_t offsets[4] = {around->offset, around->offset + right, around->offset + below, around->offset + below + right};
    const float shares[4] = {top_share * left_share, top_share * right_share, bottom_share * left_share,
                             bottom_share * right_share};
    const float *value = source->value;
    float weights[4], products[4] = {0};
    for (int corner = 0; corner < 4; corner++) weights[corner] = weight * shares[corner];
    if (inside[0] && inside[3]) {
        spread_to_pixels(gradient, value, offsets, weights, width, value_gradient, products);
    } else {
        for (int corner = 0; corner < 4; corner++) {
            if (!inside[corner]) continue;
            products[corner] = spread_to_pixel(gradient, value + offsets[corner], weights[corner], width,
                                               value_gradient + offsets[corner]);
        }
    }
    return (sample_gradient){
        .x = top_share * (products[1] - products[0]) + bottom_share * (products[3] - products[2]),
        .y = left_share * (products[2] - products[0]) + right_share * (products[3] - products[1]),
        .weight = shares[0] * products[0] + shares[1] * products[1] + shares[2] * products[2] + shares[3] * products[3],
    };
}

/// One head's gradients of one query.
INLINE void query_backward(const deformable_sampling_source *source, const deformable_sampling_queries *queries,
                           const deformable_sampling_gradients *gradients, int64_t head, int64_t query) {
    const int64_t heads = source->heads, head_width = source->head_width;
    const int64_t levels = source->levels, points = source->points, samples = levels * points;
    const int64_t reference_width = queries->reference_width;
    const float *offsets = queries->projections + offsets_start(source, query, head);
    float *offset_gradients = gradients->projections + offsets_start(source, query, head);
    float *logit_gradients = gradients->projections + logits_start(source, query, head);
    const float *references = queries->references + query * levels * reference_width;
    float *reference_gradients = gradients->references + (head * queries->count + query) * levels * reference_width;
    const float *output_gradient = gradients->output + (query * heads + head) * head_width;
    float weights[deformable_sampling_maximum_points];
    attention_weights(queries->projections + logits_start(source, query, head), samples, weights);

    float weighted_sum = 0;
    for (int64_t level = 0; level < levels; level++) {
        const level_view view = view_of_level(source, references + level * reference_width, reference_width, level, head);
        float center_x = 0, center_y = 0, scale_x = 0, scale_y = 0;
        for (int64_t point = 0; point < points; point++) {
            const int64_t sample = level * points + point;
            const float offset_x = offsets[2 * sample], offset_y = offsets[2 * sample + 1];
            sample_gradient gradient = {0};
            cell around;
            if (find_cell(&view, view.center_x + offset_x * view.scale_x, view.center_y + offset_y * view.scale_y,
                          source->pixel_stride, &around)) {
                gradient = spread_sample(source, output_gradient, &view, &around, weights[sample], gradients->value);
                const float x = weights[sample] * gradient.x, y = weights[sample] * gradient.y;
                offset_gradients[2 * sample] = x * view.scale_x;
                offset_gradients[2 * sample + 1] = y * view.scale_y;
                center_x += x;
                center_y += y;
                scale_x += x * offset_x;
                scale_y += y * offset_y;
            } else {
                offset_gradients[2 * sample] = offset_gradients[2 * sample + 1] = 0;
            }
            // Softmax's gradient needs the sum over all samples first.
            logit_gradients[sample] = gradient.weight;
            weighted_sum += weights[sample] * gradient.weight;
        }
        float *reference_gradient = reference_gradients + level * reference_width;
        reference_gradient[0] = center_x * (float)view.width;
        reference_gradient[1] = center_y * (float)view.height;
        if (reference_width == 4) {
            reference_gradient[2] = scale_x * (float)view.width * 0.5f / (float)points;
            reference_gradient[3] = scale_y * (float)view.height * 0.5f / (float)points;
        }
    }
    for (int64_t sample = 0; sample < samples; sample++)
        logit_gradients[sample] = weights[sample] * (logit_gradients[sample] - weighted_sum);
}

DISPATCHED void deformable_sampling_backward(const deformable_sampling_source *source,
                                             const deformable_sampling_queries *queries,
                                             const deformable_sampling_gradients *gradients, int64_t first, int64_t end) {
    const int64_t count = queries->count;
    if (has_heads_apart(source)) {
        for (int64_t head = first; head < end; head++)
            for (int64_t query = 0; query < count; query++) {
                if (query + queries_ahead < count) {
                    ask_for_query(source, queries->projections, query + queries_ahead, head);
                    ask_for_query(source, gradients->projections, query + queries_ahead, head);
                    ask_for(gradients->output + ((query + queries_ahead) * source->heads + head) * source->head_width,
                            source->head_width);
                }
                query_backward(source, queries, gradients, head, query);
            }
    } else {
        for (int64_t query = 0; query < count; query++)
            for (int64_t head = first; head < end; head++) query_backward(source, queries, gradients, head, query);
    }
}
