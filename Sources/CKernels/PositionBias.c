// The narrow layers of the position bias. They are a small part of its arithmetic, but run once for every pair: each is one
// pass over the block that lies in the cache.
#include "PositionBias.h"

#include "Vectors.h"

/// Pairs whose distances are computed at a time.
enum { block = 64 };

/// Distances of `count <= block` pairs from `first` on, `[n, block]`, as the first layer sees them.
INLINE void block_distances(const position_bias *bias, int64_t first, int64_t count, float *distances) {
    const int64_t rank = bias->rank;
    const float *query = bias->query_positions + first / bias->keys * rank;
    int64_t key = first % bias->keys;
    for (int64_t pair = 0; pair < count; pair++) {
        for (int64_t axis = 0; axis < rank; axis++)
            distances[axis * block + pair] = query[axis] - bias->key_positions[key * rank + axis];
        key++;
        if (key == bias->keys) {
            key = 0;
            query += rank;
        }
    }
    if (!bias->uses_log_distance) return;
    for (int64_t axis = 0; axis < rank; axis++) {
        float *line = distances + axis * block;
        for (int64_t pair = 0; pair < count; pair++) {
            const float size = logarithm(__builtin_fabsf(line[pair]) + 1.0f);
            line[pair] = line[pair] < 0 ? -size : size;
        }
    }
}

/// The first layer of one pair; `rank` is a constant wherever this is inlined.
INLINE void first_layer_row(const position_bias *bias, const float *distances, int64_t rank, float *hidden) {
    const float *weight = bias->first_weight;
    for (int64_t channel = 0; channel < bias->hidden; channel++) {
        float sum = bias->first_bias[channel];
        for (int64_t axis = 0; axis < rank; axis++)
            sum += weight[axis * bias->hidden + channel] * distances[axis * block];
        // NaN stays, to be noticed.
        hidden[channel] = sum < 0 ? 0 : sum;
    }
}

DISPATCHED void position_bias_first_layer(const position_bias *bias, int64_t first, int64_t count, float *hidden) {
    float distances[position_bias_maximum_rank * block];
    for (int64_t start = 0; start < count; start += block) {
        const int64_t pairs = count - start < block ? count - start : block;
        block_distances(bias, first + start, pairs, distances);
        for (int64_t pair = 0; pair < pairs; pair++) {
            float *row = hidden + (start + pair) * bias->hidden;
            switch (bias->rank) {
                case 1: first_layer_row(bias, distances + pair, 1, row); break;
                case 2: first_layer_row(bias, distances + pair, 2, row); break;
                default: first_layer_row(bias, distances + pair, 3, row); break;
            }
        }
    }
}

DISPATCHED void position_bias_last_layer(const position_bias *bias, int64_t count, const float *hidden, float scale,
                                         float *scores, int64_t stride) {
    const int64_t width = bias->hidden;
    for (int64_t output = 0; output < bias->outputs; output++) {
        const float *weight = bias->last_weight + output * width;
        float *line = scores + output * stride;
        for (int64_t pair = 0; pair < count; pair++) {
            const float *row = hidden + pair * width;
            vector partial = {0};
            int64_t channel = 0;
            for (; channel + lanes <= width; channel += lanes)
                partial += CONSTANT_VECTOR(row + channel) * CONSTANT_VECTOR(weight + channel);
            float sum = bias->last_bias[output] + sum_of_lanes(&partial);
            for (; channel < width; channel++) sum += row[channel] * weight[channel];
            line[pair] = line[pair] * scale + sum;
        }
    }
}

DISPATCHED void position_bias_last_layer_backward(const position_bias *bias, int64_t count, const float *hidden,
                                                  const float *score_gradient, int64_t stride, float *hidden_gradient,
                                                  float *weight_gradient, float *bias_gradient) {
    const int64_t width = bias->hidden;
    for (int64_t pair = 0; pair < count; pair++) {
        const float *row = hidden + pair * width;
        float *target = hidden_gradient + pair * width;
        memset(target, 0, (size_t)width * sizeof(float));
        for (int64_t output = 0; output < bias->outputs; output++) {
            const float gradient = score_gradient[output * stride + pair];
            const float *weight = bias->last_weight + output * width;
            float *sums = weight_gradient + output * width;
            for (int64_t channel = 0; channel < width; channel++) {
                target[channel] += gradient * weight[channel];
                sums[channel] += gradient * row[channel];
            }
            bias_gradient[output] += gradient;
        }
        for (int64_t channel = 0; channel < width; channel++) target[channel] = row[channel] > 0 ? target[channel] : 0;
    }
}

DISPATCHED void position_bias_first_layer_backward(const position_bias *bias, int64_t first, int64_t count,
                                                   const float *hidden, const float *hidden_gradient,
                                                   float *weight_gradient, float *bias_gradient, float *key_gradient) {
    const int64_t width = bias->hidden, rank = bias->rank;
    float distances[position_bias_maximum_rank * block];
    for (int64_t start = 0; start < count; start += block) {
        const int64_t pairs = count - start < block ? count - start : block;
        block_distances(bias, first + start, pairs, distances);
        for (int64_t pair = 0; pair < pairs; pair++) {
            const float *row = hidden + (start + pair) * width;
            const float *gradient = hidden_gradient + (start + pair) * width;
            for (int64_t channel = 0; channel < width; channel++)
                bias_gradient[channel] += row[channel] > 0 ? gradient[channel] : 0;
            const int64_t key = (first + start + pair) % bias->keys;
            const float *query_position = bias->query_positions + (first + start + pair) / bias->keys * rank;
            for (int64_t axis = 0; axis < rank; axis++) {
                const float distance = distances[axis * block + pair];
                const float *weight = bias->first_weight + axis * width;
                float *sums = weight_gradient + axis * width;
                vector partial = {0};
                int64_t channel = 0;
                for (; channel + lanes <= width; channel += lanes) {
                    vector masked = CONSTANT_VECTOR(gradient + channel);
                    for (int lane = 0; lane < lanes; lane++) masked[lane] = row[channel + lane] > 0 ? masked[lane] : 0;
                    VECTOR(sums + channel) += masked * distance;
                    partial += masked * CONSTANT_VECTOR(weight + channel);
                }
                float sum = sum_of_lanes(&partial);
                for (; channel < width; channel++) {
                    const float masked = row[channel] > 0 ? gradient[channel] : 0;
                    sums[channel] += masked * distance;
                    sum += masked * weight[channel];
                }
                // The distance is query minus key; sign(d) ln(|d| + 1) has the slope 1 / (|d| + 1), and 0 at 0 (as autograd).
                const float raw = query_position[axis] - bias->key_positions[key * rank + axis];
                const float slope = !bias->uses_log_distance ? 1.0f : raw == 0 ? 0.0f : 1.0f / (__builtin_fabsf(raw) + 1.0f);
                key_gradient[key * rank + axis] -= sum * slope;
            }
        }
    }
}
