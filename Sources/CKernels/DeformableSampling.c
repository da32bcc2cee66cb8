// The forward of deformable sampling. Per query and head: softmax over the logits, then sixteen samples at a time the locations and
// the four pixels around each with their weights, and then one pass over those that only loads and multiplies.
#include "DeformableSamplingParts.h"

/// Sixteen whole numbers at any address.
typedef int32_t integers __attribute__((vector_size(64), aligned(4), may_alias));

#define INTEGERS(address) (*(integers *)(address))
#define CONSTANT_INTEGERS(address) (*(const integers *)(address))

/// The samples of a head, padded to whole vectors.
enum { padded_samples = deformable_sampling_maximum_points };

/// What all heads and queries know of each sample: its level. Padding, and a level without pixels, stand for the first pixel of
/// all and are near to nothing.
typedef struct {
    int32_t levels[padded_samples];
    int32_t widths[padded_samples], heights[padded_samples];
    /// What a location must be below to be near the level.
    float right_ends[padded_samples], bottom_ends[padded_samples];
    /// Where the level's first pixel starts in a head's channels.
    int32_t starts[padded_samples];
} sample_levels;

INLINE void describe_levels(const deformable_sampling_source *source, sample_levels *described) {
    const int64_t samples = source->levels * source->points;
    for (int64_t sample = 0; sample < padded_to_lanes(samples); sample++) {
        const int64_t level = sample < samples ? sample / source->points : 0;
        const int64_t width = source->level_widths[level], height = source->level_heights[level];
        const int counts = sample < samples && width > 0 && height > 0;
        described->levels[sample] = (int32_t)level;
        described->widths[sample] = counts ? (int32_t)width : 1;
        described->heights[sample] = counts ? (int32_t)height : 1;
        described->right_ends[sample] = counts ? (float)width : -1.0f;
        described->bottom_ends[sample] = counts ? (float)height : -1.0f;
        described->starts[sample] = counts ? (int32_t)(source->level_starts[level] * source->pixel_stride) : 0;
    }
}

/// The pixels around the samples of one head and query: where their channels start, and what they are multiplied by. A pixel
/// outside its level counts 0 and stands for one inside.
typedef struct {
    int32_t offsets[4][padded_samples];
    float weights[4][padded_samples];
    const void *value;
    float *output;
} pending_gather;

/// Samples of a head, its channels, and how these lie in memory.
typedef struct {
    int64_t samples, width;
    deformable_sampling_format format;
} head_shape;

INLINE int is_same(const head_shape *one, const head_shape *other) {
    return one->samples == other->samples && one->width == other->width && one->format == other->format;
}

/// How many heads are listed before the first of them is summed.
enum { listed_ahead = 4 };

/// Sixteen locations in pixels; a pixel's centre has whole coordinates.
typedef struct {
    vector x, y;
} locations;

/// Lists the pixels around sixteen samples from `sample` on.
INLINE void list_pixels(const sample_levels *levels, int64_t sample, const locations *at, const vector *attention,
                        int32_t pixel_stride, pending_gather *pending) {
    const integers width = CONSTANT_INTEGERS(levels->widths + sample), height = CONSTANT_INTEGERS(levels->heights + sample);
    // As in PyTorch's grid_sample, a location exactly a pixel outside at the left or top still is near. NaN fails the tests.
    const integers is_near = (at->x >= -1.0f) & (at->y >= -1.0f) & (at->x < CONSTANT_VECTOR(levels->right_ends + sample)) &
                             (at->y < CONSTANT_VECTOR(levels->bottom_ends + sample));
    const vector x = (vector)((integers)at->x & is_near), y = (vector)((integers)at->y & is_near);
    // Rounded towards zero, then down: a true comparison is -1.
    integers left = __builtin_convertvector(x, integers), top = __builtin_convertvector(y, integers);
    left += (integers)(x < __builtin_convertvector(left, vector));
    top += (integers)(y < __builtin_convertvector(top, vector));
    const vector right_share = x - __builtin_convertvector(left, vector), bottom_share = y - __builtin_convertvector(top, vector);
    const integers has_left = left >= 0, has_right = left + 1 < width, has_top = top >= 0, has_bottom = top + 1 < height;

    const vector counted = (vector)((integers)*attention & is_near);
    const vector left_weight = (vector)((integers)(1.0f - right_share) & has_left);
    const vector right_weight = (vector)((integers)right_share & has_right);
    const vector top_weight = (vector)((integers)(counted * (1.0f - bottom_share)) & has_top);
    const vector bottom_weight = (vector)((integers)(counted * bottom_share) & has_bottom);
    VECTOR(pending->weights[0] + sample) = top_weight * left_weight;
    VECTOR(pending->weights[1] + sample) = top_weight * right_weight;
    VECTOR(pending->weights[2] + sample) = bottom_weight * left_weight;
    VECTOR(pending->weights[3] + sample) = bottom_weight * right_weight;

    const integers first = CONSTANT_INTEGERS(levels->starts + sample);
    const integers left_offset = (left & has_left) * pixel_stride, right_offset = (left - has_right) * pixel_stride;
    const integers row = width * pixel_stride;
    const integers top_offset = first + (top & has_top) * row, bottom_offset = first + (top - has_bottom) * row;
    INTEGERS(pending->offsets[0] + sample) = top_offset + left_offset;
    INTEGERS(pending->offsets[1] + sample) = top_offset + right_offset;
    INTEGERS(pending->offsets[2] + sample) = bottom_offset + left_offset;
    INTEGERS(pending->offsets[3] + sample) = bottom_offset + right_offset;
}

/// The reference points or boxes of sixteen samples.
typedef struct {
    vector x, y, width, height;
} sample_references;

/// The references of four levels of four points each, as most models have them.
INLINE void spread_four_by_four(const float *references, int64_t levels, sample_references *spread) {
    typedef float four_points __attribute__((vector_size(32), aligned(4), may_alias));
    float padded[8] = {0};
    if (levels < 4) {
        for (int64_t index = 0; index < 2 * levels; index++) padded[index] = references[index];
        references = padded;
    }
    const four_points all = *(const four_points *)references;
    spread->x = __builtin_shufflevector(all, all, 0, 0, 0, 0, 2, 2, 2, 2, 4, 4, 4, 4, 6, 6, 6, 6);
    spread->y = __builtin_shufflevector(all, all, 1, 1, 1, 1, 3, 3, 3, 3, 5, 5, 5, 5, 7, 7, 7, 7);
}

/// The references of any sixteen samples.
INLINE void spread_references(const float *references, int64_t reference_width, const int32_t *levels,
                              sample_references *spread) {
    for (int64_t lane = 0; lane < lanes; lane++) {
        const float *reference = references + levels[lane] * reference_width;
        spread->x[lane] = reference[0];
        spread->y[lane] = reference[1];
        spread->width[lane] = reference_width == 4 ? reference[2] : 0;
        spread->height[lane] = reference_width == 4 ? reference[3] : 0;
    }
}

/// Where sixteen samples from `sample` on lie.
INLINE void locate(const deformable_sampling_source *source, const deformable_sampling_queries *queries,
                   const sample_levels *levels, int64_t query, int64_t head, int64_t sample, locations *found) {
    const int64_t points = source->points, samples = source->levels * points, reference_width = queries->reference_width;
    const float *offsets = queries->projections + offsets_start(source, query, head) + 2 * sample;
    const float *references = queries->references + query * source->levels * reference_width;
    sample_references spread;
    if (reference_width == 2 && points == 4)
        spread_four_by_four(references + sample / 2, source->levels - sample / 4, &spread);
    else
        spread_references(references, reference_width, levels->levels + sample, &spread);

    // Of samples that there are, x and y in turn.
    float padded[2 * lanes] = {0};
    if (samples - sample < lanes) {
        for (int64_t index = 0; index < 2 * (samples - sample); index++) padded[index] = offsets[index];
        offsets = padded;
    }
    const vector low = CONSTANT_VECTOR(offsets), high = CONSTANT_VECTOR(offsets + lanes);
    vector x = __builtin_shufflevector(low, high, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    vector y = __builtin_shufflevector(low, high, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    const vector width = __builtin_convertvector(CONSTANT_INTEGERS(levels->widths + sample), vector);
    const vector height = __builtin_convertvector(CONSTANT_INTEGERS(levels->heights + sample), vector);
    // An offset counts in pixels around a point, or in half-widths of a box, shared among its points.
    if (reference_width == 4) {
        x *= spread.width * width * 0.5f / (float)points;
        y *= spread.height * height * 0.5f / (float)points;
    }
    found->x = (spread.x * width - 0.5f) + x;
    found->y = (spread.y * height - 0.5f) + y;
}

/// Lists the pixels around all samples of a head and asks for their channels, which are rarely in the nearest cache.
INLINE void list_all_pixels(const deformable_sampling_source *source, const deformable_sampling_queries *queries,
                            const sample_levels *levels, int64_t query, int64_t head, const head_shape *shape,
                            pending_gather *pending) {
    float attention[padded_samples];
    attention_weights(queries->projections + logits_start(source, query, head), shape->samples, attention);
    const int64_t size = element_size(shape->format);
    const char *value = (const char *)source->value + head * source->head_stride * size;
    for (int64_t sample = 0; sample < shape->samples; sample += lanes) {
        locations at;
        locate(source, queries, levels, query, head, sample, &at);
        const vector weights = CONSTANT_VECTOR(attention + sample);
        list_pixels(levels, sample, &at, &weights, (int32_t)source->pixel_stride, pending);
    }
    for (int pixel = 0; pixel < 4; pixel++)
        for (int64_t sample = 0; sample < shape->samples; sample++)
            ask_for_bytes(value + pending->offsets[pixel][sample] * size, shape->width * size);
    pending->value = value;
}

/// Thirty-two channels from an element on, in the two halves of each pair's sums: neighbours for bfloat16, whose second number of a
/// pair is a float once the first is masked out, and vectors apart for float32.
INLINE void load_pair(const void *value, int64_t element, deformable_sampling_format format, vector *first, vector *second) {
    typedef uint32_t words __attribute__((vector_size(64), aligned(2), may_alias));
    if (format == deformable_sampling_bfloat16) {
        const words both = *(const words *)((const uint16_t *)value + element);
        *first = (vector)(both << 16);
        *second = (vector)(both & 0xffff0000u);
    } else {
        *first = CONSTANT_VECTOR((const float *)value + element);
        *second = CONSTANT_VECTOR((const float *)value + element + lanes);
    }
}

/// Writes what `load_pair` has taken apart.
INLINE void store_pair(const vector *first, const vector *second, deformable_sampling_format format, float *output) {
    if (format == deformable_sampling_bfloat16) {
        VECTOR(output) =
            __builtin_shufflevector(*first, *second, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        VECTOR(output + lanes) =
            __builtin_shufflevector(*first, *second, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    } else {
        VECTOR(output) = *first;
        VECTOR(output + lanes) = *second;
    }
}

/// Sixteen channels from an element on.
INLINE void load(const void *value, int64_t element, deformable_sampling_format format, vector *channels) {
    typedef uint16_t halves __attribute__((vector_size(32), aligned(2), may_alias));
    typedef uint32_t words __attribute__((vector_size(64), aligned(4), may_alias));
    if (format == deformable_sampling_bfloat16)
        *channels = (vector)(__builtin_convertvector(*(const halves *)((const uint16_t *)value + element), words) << 16);
    else
        *channels = CONSTANT_VECTOR((const float *)value + element);
}

INLINE float load_one(const void *value, int64_t element, deformable_sampling_format format) {
    if (format == deformable_sampling_float32) return ((const float *)value)[element];
    const uint32_t bits = (uint32_t)((const uint16_t *)value)[element] << 16;
    float channel;
    memcpy(&channel, &bits, sizeof channel);
    return channel;
}

/// The weighted sum of the listed pixels.
INLINE void gather(const pending_gather *pending, const head_shape *shape) {
    const void *value = pending->value;
    float *output = pending->output;
    const int64_t samples = shape->samples, width = shape->width;
    int64_t channel = 0;
    for (; channel + 2 * lanes <= width; channel += 2 * lanes) {
        // A sum for each pixel, so that additions need not wait for each other.
        vector first_sums[4] = {{0}, {0}, {0}, {0}}, second_sums[4] = {{0}, {0}, {0}, {0}};
        for (int64_t sample = 0; sample < samples; sample++) {
            for (int pixel = 0; pixel < 4; pixel++) {
                const float weight = pending->weights[pixel][sample];
                vector first, second;
                load_pair(value, pending->offsets[pixel][sample] + channel, shape->format, &first, &second);
                first_sums[pixel] += first * weight;
                second_sums[pixel] += second * weight;
            }
        }
        const vector first = (first_sums[0] + first_sums[1]) + (first_sums[2] + first_sums[3]);
        const vector second = (second_sums[0] + second_sums[1]) + (second_sums[2] + second_sums[3]);
        store_pair(&first, &second, shape->format, output + channel);
    }
    for (; channel + lanes <= width; channel += lanes) {
        vector sums[4] = {{0}, {0}, {0}, {0}};
        for (int64_t sample = 0; sample < samples; sample++) {
            for (int pixel = 0; pixel < 4; pixel++) {
                vector channels;
                load(value, pending->offsets[pixel][sample] + channel, shape->format, &channels);
                sums[pixel] += channels * pending->weights[pixel][sample];
            }
        }
        VECTOR(output + channel) = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    }
    for (; channel < width; channel++) {
        float sum = 0;
        for (int64_t sample = 0; sample < samples; sample++)
            for (int pixel = 0; pixel < 4; pixel++)
                sum += load_one(value, pending->offsets[pixel][sample] + channel, shape->format) *
                       pending->weights[pixel][sample];
        output[channel] = sum;
    }
}

/// The forward for heads of one shape, which the compiler may know.
INLINE void forward(const deformable_sampling_source *source, const deformable_sampling_queries *queries,
                    const head_shape *shape, float *output) {
    const int64_t heads = source->heads, count = queries->count, all = heads * count;
    const int is_apart = has_heads_apart(source);
    sample_levels levels;
    describe_levels(source, &levels);
    // While one head's channels are on their way from memory, the heads before it are summed.
    pending_gather pending[listed_ahead];
    for (int64_t item = 0; item < all + listed_ahead; item++) {
        if (item >= listed_ahead) gather(&pending[item % listed_ahead], shape);
        if (item >= all) continue;
        const int64_t head = is_apart ? item / count : item % heads, query = is_apart ? item % count : item / heads;
        if (is_apart && query + queries_ahead < count)
            ask_for_query(source, queries->projections, query + queries_ahead, head);
        list_all_pixels(source, queries, &levels, query, head, shape, &pending[item % listed_ahead]);
        pending[item % listed_ahead].output = output + (query * heads + head) * shape->width;
    }
}

/// Takes the heads of one shape by loops whose lengths the compiler knows: a third faster.
#define FORWARD_IF(samples, width, format)                                                                                  \
    {                                                                                                                       \
        const head_shape known = {samples, width, format};                                                                  \
        if (is_same(&shape, &known)) {                                                                                      \
            forward(source, queries, &known, output);                                                                       \
            return;                                                                                                         \
        }                                                                                                                   \
    }

DISPATCHED void deformable_sampling_forward(const deformable_sampling_source *source,
                                            const deformable_sampling_queries *queries, float *output) {
    const head_shape shape = {source->levels * source->points, source->head_width, source->format};
    FORWARD_IF(16, 32, deformable_sampling_float32)
    FORWARD_IF(16, 32, deformable_sampling_bfloat16)
    FORWARD_IF(12, 16, deformable_sampling_float32)
    FORWARD_IF(12, 16, deformable_sampling_bfloat16)
    forward(source, queries, &shape, output);
}

/// Copies of a length that the compiler may know.
INLINE void reorder(int64_t heads, int64_t head_size, int64_t first, int64_t end, const char *from, int64_t from_head,
                    int64_t from_pixel, char *to, int64_t to_head, int64_t to_pixel) {
    for (int64_t head = 0; head < heads; head++)
        for (int64_t pixel = first; pixel < end; pixel++)
            memcpy(to + head * to_head + pixel * to_pixel, from + head * from_head + pixel * from_pixel, (size_t)head_size);
}

DISPATCHED void deformable_sampling_reorder(int64_t heads, int64_t head_size, int64_t first, int64_t end, const void *from,
                                            int64_t from_head, int64_t from_pixel, void *to, int64_t to_head,
                                            int64_t to_pixel) {
    if (head_size == 64) reorder(heads, 64, first, end, from, from_head, from_pixel, to, to_head, to_pixel);
    else if (head_size == 128) reorder(heads, 128, first, end, from, from_head, from_pixel, to, to_head, to_pixel);
    else reorder(heads, head_size, first, end, from, from_head, from_pixel, to, to_head, to_pixel);
}
