// The sigmoid focal loss and its gradient: plain C that the compiler vectorises for each instruction set.
#include "FocalLoss.h"

#include <math.h>

#include "Vectors.h"

/// Logits at a time: their losses stay in the nearest cache until they are summed.
enum { block = 256 };

DISPATCHED double focal_loss(int64_t count, const float *logits, int64_t positive_count, const int64_t *positives,
                             float alpha, float scale, float *gradient) {
    double partial[lanes] = {0};
    int64_t next = 0;
    for (int64_t start = 0; start < count; start += block) {
        const int64_t size = count - start < block ? count - start : block;
        // 1 where the logit should be low, -1 where it should be high.
        float signs[block], losses[block] = {0};
        for (int64_t index = 0; index < size; index++) signs[index] = 1.0f;
        for (; next < positive_count && positives[next] < start + size; next++) signs[positives[next] - start] = -1.0f;
        for (int64_t index = 0; index < size; index++) {
            // With x the logit, or its negative for a positive: s = sigmoid(x) is the share that went wrong, -ln(1 - s) the
            // cross-entropy, and the loss weight * s^2 * -ln(1 - s).
            const float sign = signs[index];
            const float x = sign * logits[start + index];
            const float rest = exponential(-fabsf(x));
            const float sum = 1.0f + rest;
            const float larger = 1.0f / sum, smaller = rest * larger;
            const float wrong = x > 0 ? larger : smaller, right = x > 0 ? smaller : larger;
            // ln(1 + rest) needs what 1 + rest has rounded away.
            const float entropy = (x > 0 ? x : 0.0f) + (logarithm(sum) + (rest - (sum - 1.0f)) * larger);
            const float weighted = (sign > 0 ? 1.0f - alpha : alpha) * wrong * wrong;
            losses[index] = weighted * entropy;
            gradient[start + index] = sign * scale * weighted * (2.0f * right * entropy + wrong);
        }
        for (int64_t index = 0; index < block; index += lanes)
            for (int lane = 0; lane < lanes; lane++) partial[lane] += losses[index + lane];
    }
    double total = 0;
    for (int lane = 0; lane < lanes; lane++) total += partial[lane];
    return total;
}
