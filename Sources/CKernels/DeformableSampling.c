// Deformable sampling. Forward, per query and head: softmax over the logits, the sampling locations, a list of the corners
// that lie inside their level with their weights, and then one pass over that list that only loads and multiplies.
// Backward, per query and head: the same locations again, and at each corner one pass that spreads the output's gradient to
// the corner's pixel and sums its product with that pixel, from which all other gradients follow.
//
// Where each head's pixels lie together, one head's queries come one after the other: neighbours see nearly the same pixels, which
// then fit into a core's own cache. Where the heads lie side by side, all heads of a query come one after the other: one head's
// pixels alone are so far apart that they would share an eighth of each cache.
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

/// One head's view of a level for one query. A sample lies at `center + offset * scale`, in pixels; a pixel's centre has whole
/// coordinates.
typedef struct {
    int64_t height, width;
    /// Where the head's channels of the level's first pixel start in `value`.
    int64_t start;
    float center_x, center_y, scale_x, scale_y;
} level_view;

INLINE level_view view_of_level(const deformable_sampling *operands, const float *reference, int64_t level, int64_t head) {
    const int64_t height = operands->level_heights[level], width = operands->level_widths[level];
    const int is_point = operands->reference_width == 2;
    const float points = (float)operands->points;
    return (level_view){
        .height = height,
        .width = width,
        .start = operands->level_starts[level] * operands->pixel_stride + head * operands->head_stride,
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

/// Appends the corners of the location (x, y) that lie inside the level.
INLINE int64_t append_corners(corner *corners, int64_t count, const level_view *level, float x, float y, float weight,
                              int64_t pixel_stride) {
    cell around;
    if (!find_cell(level, x, y, pixel_stride, &around)) return count;
    if (around.has_top) {
        const float share = weight * (1.0f - around.bottom_share);
        corners[count] = (corner){around.offset, share * (1.0f - around.right_share)};
        count += around.has_left;
        corners[count] = (corner){around.offset + pixel_stride, share * around.right_share};
        count += around.has_right;
    }
    if (around.has_bottom) {
        const float share = weight * around.bottom_share;
        const int64_t offset = around.offset + level->width * pixel_stride;
        corners[count] = (corner){offset, share * (1.0f - around.right_share)};
        count += around.has_left;
        corners[count] = (corner){offset + pixel_stride, share * around.right_share};
        count += around.has_right;
    }
    return count;
}

/// What is left to do for one query and head once its corners are known.
typedef struct {
    // One more than can be filled: a corner is written before it is known to count.
    corner corners[4 * deformable_sampling_maximum_points + 1];
    int64_t count;
    float *output;
} pending_gather;

/// Lists the corners of all samples of a head and asks for their channels, which are rarely in the nearest cache.
INLINE void list_corners(const deformable_sampling *operands, int64_t query, int64_t head, pending_gather *pending) {
    const int64_t heads = operands->heads, levels = operands->levels, points = operands->points, samples = levels * points;
    const int64_t reference_width = operands->reference_width, pixel_stride = operands->pixel_stride;
    const float *row = operands->projections + query * 3 * heads * samples;
    const float *offset = row + head * samples * 2;
    const float *references = operands->references + query * levels * reference_width;
    float weights[deformable_sampling_maximum_points];
    attention_weights(row + (2 * heads + head) * samples, samples, weights);
    int64_t count = 0;
    for (int64_t level = 0; level < levels; level++) {
        const level_view view = view_of_level(operands, references + level * reference_width, level, head);
        for (int64_t point = 0; point < points; point++) {
            const int64_t sample = level * points + point;
            count = append_corners(pending->corners, count, &view, view.center_x + offset[2 * sample] * view.scale_x,
                                   view.center_y + offset[2 * sample + 1] * view.scale_y, weights[sample], pixel_stride);
        }
    }
    pending->count = count;
    for (int64_t index = 0; index < count; index++)
        for (int64_t channel = 0; channel < operands->head_width; channel += lanes)
            __builtin_prefetch(operands->value + pending->corners[index].offset + channel);
}

/// The weighted sum of the listed corners, `width` channels each.
INLINE void gather(const float *value, const pending_gather *pending, int64_t width) {
    const corner *corners = pending->corners;
    const int64_t count = pending->count;
    float *output = pending->output;
    int64_t channel = 0;
    for (; channel + 2 * lanes <= width; channel += 2 * lanes) {
        // Two sums each, so that an addition need not wait for the one before it.
        vector low = {0}, high = {0}, odd_low = {0}, odd_high = {0};
        int64_t index = 0;
        for (; index + 2 <= count; index += 2) {
            const float *source = value + corners[index].offset + channel;
            const float *odd_source = value + corners[index + 1].offset + channel;
            low += CONSTANT_VECTOR(source) * corners[index].weight;
            high += CONSTANT_VECTOR(source + lanes) * corners[index].weight;
            odd_low += CONSTANT_VECTOR(odd_source) * corners[index + 1].weight;
            odd_high += CONSTANT_VECTOR(odd_source + lanes) * corners[index + 1].weight;
        }
        if (index < count) {
            const float *source = value + corners[index].offset + channel;
            low += CONSTANT_VECTOR(source) * corners[index].weight;
            high += CONSTANT_VECTOR(source + lanes) * corners[index].weight;
        }
        VECTOR(output + channel) = low + odd_low;
        VECTOR(output + channel + lanes) = high + odd_high;
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

/// Whether a head's pixels lie together, so that its queries come one after the other.
INLINE int has_heads_apart(const deformable_sampling *operands) { return operands->head_stride > operands->pixel_stride; }

/// Asks for some elements that are needed soon; where they are not there, nothing happens.
INLINE void ask_for(const float *elements, int64_t count) {
    for (int64_t index = 0; index < count; index += lanes) __builtin_prefetch(elements + index);
}

/// How many queries ahead of its turn a query is asked for: when its head alone is read, a processor does not foresee that.
enum { queries_ahead = 4 };

/// Asks for what a head of a query brings along.
INLINE void ask_for_query(const deformable_sampling *operands, const float *projections, int64_t query, int64_t head) {
    const int64_t heads = operands->heads, samples = operands->levels * operands->points;
    const float *row = projections + query * 3 * heads * samples;
    ask_for(row + head * samples * 2, samples * 2);
    ask_for(row + (2 * heads + head) * samples, samples);
}

DISPATCHED void deformable_sampling_forward(const deformable_sampling *operands, int64_t first, int64_t end, float *output) {
    const int64_t heads = operands->heads, head_width = operands->head_width, queries = end - first;
    const int is_apart = has_heads_apart(operands);
    // While one head's channels are on their way from memory, the head before it is summed.
    pending_gather pending[2];
    int current = 0, waiting = 0;
    for (int64_t outer = 0; outer < (is_apart ? heads : queries); outer++) {
        for (int64_t inner = 0; inner < (is_apart ? queries : heads); inner++) {
            const int64_t head = is_apart ? outer : inner, query = first + (is_apart ? inner : outer);
            if (is_apart && query + queries_ahead < end)
                ask_for_query(operands, operands->projections, query + queries_ahead, head);
            list_corners(operands, query, head, &pending[current]);
            pending[current].output = output + (query * heads + head) * head_width;
            current = !current;
            if (waiting) gather(operands->value, &pending[current], head_width);
            waiting = 1;
        }
    }
    if (waiting) gather(operands->value, &pending[!current], head_width);
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
INLINE sample_gradient spread_sample(const deformable_sampling *operands, const float *gradient, const level_view *level,
                                     const cell *around, float weight, float *value_gradient) {
    const int64_t width = operands->head_width, right = operands->pixel_stride, below = level->width * right;
    const float right_share = around->right_share, left_share = 1.0f - right_share;
    const float bottom_share = around->bottom_share, top_share = 1.0f - bottom_share;
    // Top left, top right, bottom left, bottom right.
    const int inside[4] = {around->has_top && around->has_left, around->has_top && around->has_right,
                           around->has_bottom && around->has_left, around->has_bottom && around->has_right};
    const int64_t offsets[4] = {around->offset, around->offset + right, around->offset + below, around->offset + below + right};
    const float shares[4] = {top_share * left_share, top_share * right_share, bottom_share * left_share,
                             bottom_share * right_share};
    float weights[4], products[4] = {0};
    for (int corner = 0; corner < 4; corner++) weights[corner] = weight * shares[corner];
    if (inside[0] && inside[3]) {
        spread_to_pixels(gradient, operands->value, offsets, weights, width, value_gradient, products);
    } else {
        for (int corner = 0; corner < 4; corner++) {
            if (!inside[corner]) continue;
            products[corner] = spread_to_pixel(gradient, operands->value + offsets[corner], weights[corner], width,
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
INLINE void query_backward(const deformable_sampling *operands, const deformable_sampling_gradients *gradients, int64_t head,
                           int64_t query) {
    const int64_t heads = operands->heads, head_width = operands->head_width;
    const int64_t levels = operands->levels, points = operands->points, samples = levels * points;
    const int64_t reference_width = operands->reference_width;
    const int64_t offsets_start = query * 3 * heads * samples + head * samples * 2;
    const int64_t logits_start = (query * 3 + 2) * heads * samples + head * samples;
    const float *offsets = operands->projections + offsets_start;
    float *offset_gradients = gradients->projections + offsets_start;
    float *logit_gradients = gradients->projections + logits_start;
    const float *references = operands->references + query * levels * reference_width;
    float *reference_gradients =
        gradients->references + (head * operands->queries + query) * levels * reference_width;
    const float *output_gradient = gradients->output + (query * heads + head) * head_width;
    float weights[deformable_sampling_maximum_points];
    attention_weights(operands->projections + logits_start, samples, weights);

    float weighted_sum = 0;
    for (int64_t level = 0; level < levels; level++) {
        const level_view view = view_of_level(operands, references + level * reference_width, level, head);
        float center_x = 0, center_y = 0, scale_x = 0, scale_y = 0;
        for (int64_t point = 0; point < points; point++) {
            const int64_t sample = level * points + point;
            const float offset_x = offsets[2 * sample], offset_y = offsets[2 * sample + 1];
            sample_gradient gradient = {0};
            cell around;
            if (find_cell(&view, view.center_x + offset_x * view.scale_x, view.center_y + offset_y * view.scale_y,
                          operands->pixel_stride, &around)) {
                gradient = spread_sample(operands, output_gradient, &view, &around, weights[sample], gradients->value);
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

DISPATCHED void deformable_sampling_backward(const deformable_sampling *operands,
                                             const deformable_sampling_gradients *gradients, int64_t first, int64_t end) {
    const int64_t queries = operands->queries;
    if (has_heads_apart(operands)) {
        for (int64_t head = first; head < end; head++)
            for (int64_t query = 0; query < queries; query++) {
                if (query + queries_ahead < queries) {
                    ask_for_query(operands, operands->projections, query + queries_ahead, head);
                    ask_for_query(operands, gradients->projections, query + queries_ahead, head);
                    ask_for(gradients->output + ((query + queries_ahead) * operands->heads + head) * operands->head_width,
                            operands->head_width);
                }
                query_backward(operands, gradients, head, query);
            }
    } else {
        for (int64_t query = 0; query < queries; query++)
            for (int64_t head = first; head < end; head++) query_backward(operands, gradients, head, query);
    }
}

void deformable_sampling_reorder(int64_t heads, int64_t head_width, int64_t first, int64_t end, const float *from,
                                 int64_t from_head, int64_t from_pixel, float *to, int64_t to_head, int64_t to_pixel) {
    for (int64_t pixel = first; pixel < end; pixel++)
        for (int64_t head = 0; head < heads; head++)
            memcpy(to + head * to_head + pixel * to_pixel, from + head * from_head + pixel * from_pixel,
                   (size_t)head_width * sizeof(float));
}
