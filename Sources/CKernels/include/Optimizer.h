/// What happens to every parameter once a step; elementwise, so that results do not depend on how the caller splits the work.
#ifndef CKERNELS_OPTIMIZER_H
#define CKERNELS_OPTIMIZER_H

#include <stdint.h>

/// One step of AdamW in the order of operations of PyTorch's `_single_tensor_adam`.
typedef struct {
    /// Every gradient is multiplied by it first.
    float gradient_scale;
    /// 1 - learning rate * weight decay.
    float kept_share;
    /// 1 - beta1; beta2; 1 - beta2.
    float first_weight, second_decay, second_weight;
    /// sqrt(1 - beta2^step)
    float second_correction;
    float epsilon;
    /// learning rate / (1 - beta1^step)
    float step_size;
} adamw_step;

/// Updates `count` parameters and the running means of their gradients and squared gradients.
void adamw_update(int64_t count, const adamw_step *step, const float *gradient, float *parameters, float *first_moments,
                  float *second_moments);

/// The sum of the squares, in Double.
double optimizer_sum_of_squares(int64_t count, const float *data);

/// `average += weight * (data - average)`
void optimizer_move_average(int64_t count, float weight, const float *data, float *average);

#endif
