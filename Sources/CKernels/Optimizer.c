// Loops over all parameters of a model: bound by memory, so each touches every array once.
#include "Optimizer.h"

#include "Vectors.h"

DISPATCHED void adamw_update(int64_t count, const adamw_step *step, const float *gradient, float *parameters,
                             float *first_moments, float *second_moments) {
    const adamw_step constant = *step;
    for (int64_t index = 0; index < count; index++) {
        const float slope = gradient[index] * constant.gradient_scale;
        const float first = first_moments[index] + constant.first_weight * (slope - first_moments[index]);
        const float second = second_moments[index] * constant.second_decay + constant.second_weight * slope * slope;
        // The builtin, not sqrtf: that one may set errno, which keeps the loop from being vectorised.
        const float spread = __builtin_elementwise_sqrt(second) / constant.second_correction + constant.epsilon;
        first_moments[index] = first;
        second_moments[index] = second;
        parameters[index] = parameters[index] * constant.kept_share - constant.step_size * (first / spread);
    }
}

DISPATCHED double optimizer_sum_of_squares(int64_t count, const float *data) {
    double partial[lanes] = {0};
    int64_t index = 0;
    for (; index + lanes <= count; index += lanes)
        for (int lane = 0; lane < lanes; lane++) {
            const double value = data[index + lane];
            partial[lane] += value * value;
        }
    double total = 0;
    for (int lane = 0; lane < lanes; lane++) total += partial[lane];
    for (; index < count; index++) total += (double)data[index] * data[index];
    return total;
}

DISPATCHED void optimizer_move_average(int64_t count, float weight, const float *data, float *average) {
    for (int64_t index = 0; index < count; index++) average[index] += weight * (data[index] - average[index]);
}
