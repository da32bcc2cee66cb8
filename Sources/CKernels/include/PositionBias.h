/// The first and last layers of a continuous position bias, for blocks of (query, key) pairs; the wide layer between them is
/// a matrix product and not here.
///
/// Letters: n axes, H hidden channels, O outputs (heads), J keys. Pair p is query `p / J` and key `p % J`.
///
/// - Source: "Swin Transformer V2" (arXiv 2111.09883), section 3.3; class CPB of deformable-attention 0.0.20.
#ifndef CKERNELS_POSITION_BIAS_H
#define CKERNELS_POSITION_BIAS_H

#include <stdint.h>

/// What all blocks of a group of heads share.
typedef struct {
    int64_t rank, hidden, outputs, keys;
    /// Whether the first layer sees `sign(d) ln(|d| + 1)` instead of the distance d.
    int uses_log_distance;
    /// `[queries, n]`, from pair 0 on.
    const float *query_positions;
    /// `[J, n]`
    const float *key_positions;
    /// `[n, H]`, transposed against the checkpoint, and `[H]`.
    const float *first_weight, *first_bias;
    /// `[O, H]` and `[O]`.
    const float *last_weight, *last_bias;
} position_bias;

/// Most axes.
enum { position_bias_maximum_rank = 3 };

/// `hidden[p] = max(0, W distance(first + p) + b)`, `[count, H]`.
void position_bias_first_layer(const position_bias *bias, int64_t first, int64_t count, float *hidden);

/// `scores[o, p] = scores[o, p] * scale + W[o] hidden[p] + b[o]`: `hidden [count, H]`; scores of output o begin at
/// `scores + o * stride`.
void position_bias_last_layer(const position_bias *bias, int64_t count, const float *hidden, float scale, float *scores,
                              int64_t stride);

/// From the gradients of scores (laid out as the scores) those of the last layer, added to `weight_gradient [O, H]` and
/// `bias_gradient [O]`, and `hidden_gradient [count, H]`, 0 where `hidden` is 0.
void position_bias_last_layer_backward(const position_bias *bias, int64_t count, const float *hidden,
                                       const float *score_gradient, int64_t stride, float *hidden_gradient,
                                       float *weight_gradient, float *bias_gradient);

/// From `hidden_gradient [count, H]` (not yet 0 where `hidden` is 0) those of the first layer, added to `weight_gradient [n, H]`
/// and `bias_gradient [H]`, and of the key positions, added to `key_gradient [J, n]`.
void position_bias_first_layer_backward(const position_bias *bias, int64_t first, int64_t count, const float *hidden,
                                        const float *hidden_gradient, float *weight_gradient, float *bias_gradient,
                                        float *key_gradient);

#endif
