// Grid sampling: per location the neighbours along each axis, then per corner (a choice of neighbour for every axis) one pass
// over the channels.
#include "GridSampling.h"

#include "Vectors.h"

/// The positions before and after a location along one axis.
typedef struct {
    /// Where they lie in the map, in positions along this axis.
    int64_t positions[2];
    /// What the sample takes of each; 0 for one outside the map.
    float shares[2];
    /// The derivatives of the shares by the pixel coordinate; 0 for one outside the map.
    float slopes[2];
} neighbours;

enum { maximum_rank = 3, maximum_corners = 1 << maximum_rank };

/// A corner of the cell that a location lies in: where its channels start in the map, and its weight.
typedef struct {
    int64_t position;
    float weight;
    /// The derivatives of the weight by each pixel coordinate.
    float slopes[maximum_rank];
} corner;

/// The corners that lie in the map; none for a location that is not finite or too far outside.
INLINE int64_t corners_around(const grid_sampling *sampling, const float *location, corner *corners) {
    const int64_t rank = sampling->rank;
    neighbours axes[maximum_rank];
    for (int64_t axis = 0; axis < rank; axis++) {
        const int64_t extent = sampling->extents[axis];
        const float pixel = ((location[axis] + 1.0f) * (float)extent - 1.0f) / 2.0f;
        // Written so that NaN fails the test. Exactly a step before the map the sample is 0, but as in PyTorch its slope is not.
        if (!(pixel >= -1.0f && pixel < (float)extent)) return 0;
        const float before = __builtin_floorf(pixel);
        const int64_t index = (int64_t)before;
        const float share = pixel - before;
        const int has_before = index >= 0 && index < extent, has_after = index + 1 < extent;
        axes[axis].positions[0] = index * sampling->strides[axis];
        axes[axis].positions[1] = (index + 1) * sampling->strides[axis];
        axes[axis].shares[0] = has_before ? 1.0f - share : 0.0f;
        axes[axis].shares[1] = has_after ? share : 0.0f;
        axes[axis].slopes[0] = has_before ? -1.0f : 0.0f;
        axes[axis].slopes[1] = has_after ? 1.0f : 0.0f;
    }
    int64_t count = 0;
    for (int64_t choice = 0; choice < 1 << rank; choice++) {
        corner chosen = {.weight = 1.0f};
        int is_inside = 1;
        for (int64_t axis = 0; axis < rank; axis++) {
            const int64_t side = choice >> axis & 1;
            is_inside &= axes[axis].slopes[side] != 0.0f;
            chosen.position += axes[axis].positions[side];
            chosen.weight *= axes[axis].shares[side];
            chosen.slopes[axis] = axes[axis].slopes[side];
            for (int64_t other = 0; other < rank; other++)
                if (other != axis) chosen.slopes[axis] *= axes[other].shares[choice >> other & 1];
        }
        if (is_inside) corners[count++] = chosen;
    }
    return count;
}

DISPATCHED void grid_sampling_forward(const grid_sampling *sampling, int64_t first, int64_t end, float *output) {
    const int64_t groups = sampling->groups, group_width = sampling->group_width, width = groups * group_width;
    corner corners[maximum_corners];
    for (int64_t row = first; row < end; row++) {
        const int64_t image = row / sampling->samples, sample = row % sampling->samples;
        for (int64_t group = 0; group < groups; group++) {
            const int64_t place = (image * groups + group) * sampling->samples + sample;
            const int64_t count = corners_around(sampling, sampling->locations + place * sampling->rank, corners);
            const float *source = sampling->input + image * sampling->positions * width + group * group_width;
            float *target = output + row * width + group * group_width;
            int64_t channel = 0;
            for (; channel + lanes <= group_width; channel += lanes) {
                vector sum = {0};
                for (int64_t index = 0; index < count; index++)
                    sum += CONSTANT_VECTOR(source + corners[index].position * width + channel) * corners[index].weight;
                VECTOR(target + channel) = sum;
            }
            for (; channel < group_width; channel++) {
                float sum = 0;
                for (int64_t index = 0; index < count; index++)
                    sum += source[corners[index].position * width + channel] * corners[index].weight;
                target[channel] = sum;
            }
        }
    }
}

/// The sum of the products of two rows of `width` floats.
INLINE float dot(const float *left, const float *right, int64_t width) {
    vector partial = {0};
    int64_t index = 0;
    for (; index + lanes <= width; index += lanes)
        partial += CONSTANT_VECTOR(left + index) * CONSTANT_VECTOR(right + index);
    float total = sum_of_lanes(&partial);
    for (; index < width; index++) total += left[index] * right[index];
    return total;
}

DISPATCHED void grid_sampling_location_gradient(const grid_sampling *sampling, int64_t first, int64_t end,
                                                const float *output_gradient, float *location_gradient) {
    const int64_t rank = sampling->rank, groups = sampling->groups, group_width = sampling->group_width;
    const int64_t width = groups * group_width;
    corner corners[maximum_corners];
    for (int64_t place = first; place < end; place++) {
        const int64_t sample = place % sampling->samples, group = place / sampling->samples % groups;
        const int64_t image = place / sampling->samples / groups;
        const int64_t count = corners_around(sampling, sampling->locations + place * rank, corners);
        const float *source = sampling->input + image * sampling->positions * width + group * group_width;
        const float *gradient = output_gradient + (image * sampling->samples + sample) * width + group * group_width;
        float *target = location_gradient + place * rank;
        for (int64_t axis = 0; axis < rank; axis++) target[axis] = 0;
        for (int64_t index = 0; index < count; index++) {
            const float product = dot(gradient, source + corners[index].position * width, group_width);
            for (int64_t axis = 0; axis < rank; axis++) target[axis] += product * corners[index].slopes[axis];
        }
        // From pixels to -1...1.
        for (int64_t axis = 0; axis < rank; axis++) target[axis] *= (float)sampling->extents[axis] / 2.0f;
    }
}

DISPATCHED void grid_sampling_input_gradient(const grid_sampling *sampling, int64_t first, int64_t end,
                                             const float *output_gradient, float *input_gradient) {
    const int64_t groups = sampling->groups, group_width = sampling->group_width, width = groups * group_width;
    const int64_t blocks = (group_width + grid_sampling_block - 1) / grid_sampling_block;
    corner corners[maximum_corners];
    for (int64_t unit = first; unit < end; unit++) {
        const int64_t start = unit % blocks * grid_sampling_block, group = unit / blocks % groups;
        const int64_t image = unit / blocks / groups, column = group * group_width + start;
        const int64_t rest = group_width - start;
        const int64_t block_width = rest < grid_sampling_block ? rest : grid_sampling_block;
        const float *locations = sampling->locations + (image * groups + group) * sampling->samples * sampling->rank;
        for (int64_t sample = 0; sample < sampling->samples; sample++) {
            const int64_t count = corners_around(sampling, locations + sample * sampling->rank, corners);
            const float *gradient = output_gradient + (image * sampling->samples + sample) * width + column;
            for (int64_t index = 0; index < count; index++) {
                float *target =
                    input_gradient + (image * sampling->positions + corners[index].position) * width + column;
                const float weight = corners[index].weight;
                for (int64_t channel = 0; channel < block_width; channel++)
                    target[channel] += gradient[channel] * weight;
            }
        }
    }
}
