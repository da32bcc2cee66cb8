/// What the forward and the backward of deformable sampling share: attention weights, locations, the order of the work.
///
/// Where each head's pixels lie together, one head's queries come one after the other: neighbours see nearly the same pixels,
/// which then fit into a core's own cache. Where the heads lie side by side, all heads of a query come one after the other: one
/// head's pixels alone are so far apart that they would share an eighth of each cache.
#ifndef CKERNELS_DEFORMABLE_SAMPLING_PARTS_H
#define CKERNELS_DEFORMABLE_SAMPLING_PARTS_H

#include "DeformableSampling.h"
#include "Vectors.h"

/// A number of samples, made up to whole vectors.
INLINE int64_t padded_to_lanes(int64_t samples) { return (samples + lanes - 1) / lanes * lanes; }

/// Attention weights of one head: softmax over all levels and points together.
///
/// - Parameter weights: room for a multiple of `lanes`; what is beyond `count` becomes 0.
INLINE void attention_weights(const float *logits, int64_t count, float *weights) {
    const int64_t padded = padded_to_lanes(count);
    for (int64_t index = 0; index < count; index++) weights[index] = logits[index];
    for (int64_t index = count; index < padded; index++) weights[index] = -__builtin_inff();
    vector largest = CONSTANT_VECTOR(weights);
    for (int64_t index = lanes; index < padded; index += lanes) keep_larger_lanes(&largest, &CONSTANT_VECTOR(weights + index));
    spread_largest_lane(&largest);
    vector sum = {0};
    for (int64_t index = 0; index < padded; index += lanes) {
        VECTOR(weights + index) -= largest;
        for (int64_t lane = 0; lane < lanes; lane++) weights[index + lane] = exponential(weights[index + lane]);
        sum += CONSTANT_VECTOR(weights + index);
    }
    spread_sum_of_lanes(&sum);
    const vector scale = 1.0f / sum;
    for (int64_t index = 0; index < padded; index += lanes) VECTOR(weights + index) *= scale;
}

/// Whether a head's pixels lie together, so that its queries come one after the other.
INLINE int has_heads_apart(const deformable_sampling_source *source) { return source->head_stride > source->pixel_stride; }

INLINE int64_t element_size(deformable_sampling_format format) {
    return format == deformable_sampling_bfloat16 ? sizeof(uint16_t) : sizeof(float);
}

/// Asks for some bytes that are needed soon; where they are not there, nothing happens.
INLINE void ask_for_bytes(const void *start, int64_t count) {
    for (int64_t offset = 0; offset < count; offset += 64) __builtin_prefetch((const char *)start + offset);
}

INLINE void ask_for(const float *elements, int64_t count) { ask_for_bytes(elements, count * (int64_t)sizeof *elements); }

/// How many queries ahead of its turn a query is asked for: when its head alone is read, a processor does not foresee that.
enum { queries_ahead = 4 };

/// Where a head's offsets of a query start in the projections, or in their gradients.
INLINE int64_t offsets_start(const deformable_sampling_source *source, int64_t query, int64_t head) {
    return (query * 3 * source->heads + head * 2) * source->levels * source->points;
}

/// Where its logits start.
INLINE int64_t logits_start(const deformable_sampling_source *source, int64_t query, int64_t head) {
    return ((query * 3 + 2) * source->heads + head) * source->levels * source->points;
}

/// Asks for what a head of a query brings along.
INLINE void ask_for_query(const deformable_sampling_source *source, const float *projections, int64_t query, int64_t head) {
    const int64_t samples = source->levels * source->points;
    ask_for(projections + offsets_start(source, query, head), samples * 2);
    ask_for(projections + logits_start(source, query, head), samples);
}

#endif
