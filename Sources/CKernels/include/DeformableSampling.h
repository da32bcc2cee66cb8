/// Multi-scale deformable sampling: the part of MSDeformAttn between its projections.
///
/// - Source: "Deformable DETR" (arXiv 2010.04159), equation 3; `models/ops/modules/ms_deform_attn.py`.
#ifndef CKERNELS_DEFORMABLE_SAMPLING_H
#define CKERNELS_DEFORMABLE_SAMPLING_H

#include <stdint.h>

/// What the numbers of a value are.
typedef enum { deformable_sampling_float32, deformable_sampling_bfloat16 } deformable_sampling_format;

/// What is sampled: one image's value, of one pixel at least. M heads of D channels, L levels, K points, S = sum of level areas; S M D is below 2^31.
typedef struct {
    int64_t heads, head_width, levels, points;
    /// `[L]` each; `level_starts` counts locations (rows of `value`).
    const int64_t *level_heights, *level_widths, *level_starts;
    /// `[S, M, D]`, or `[M, S, D]`, as the strides say: from a head to the next and from a pixel to the next, in elements.
    const void *value;
    int64_t head_stride, pixel_stride;
    /// The backward takes float32 only.
    deformable_sampling_format format;
} deformable_sampling_source;

/// Who samples: Q queries.
typedef struct {
    int64_t count;
    /// `[Q, 3 M L K]`: first the offsets `[M, L, K, (x, y)]`, then the attention logits `[M, L, K]`.
    const float *projections;
    /// `[Q, L, 2]` centres (x, y), or `[Q, L, 4]` boxes (cx, cy, w, h), in units of the padded level.
    const float *references;
    int64_t reference_width;
} deformable_sampling_queries;

/// One image's gradients.
typedef struct {
    /// `[Q, M, D]`, of the output.
    const float *output;
    /// Like the value; added to.
    float *value;
    /// `[Q, 3 M L K]`, like the projections.
    float *projections;
    /// `[M, Q, L, 2 or 4]`: what each head contributes; their sum is the gradient.
    float *references;
} deformable_sampling_gradients;

/// The largest `levels * points` that the kernel takes.
enum { deformable_sampling_maximum_points = 256 };

/// Writes `output`, `[Q, M, D]`. A location that is not finite, or more than a pixel outside, counts as 0.
void deformable_sampling_forward(const deformable_sampling_source *source, const deformable_sampling_queries *queries,
                                 float *output);

/// Writes the gradients of the heads `first..<end`, all queries: no two heads write to the same memory. Locations that count as 0
/// have gradient 0.
void deformable_sampling_backward(const deformable_sampling_source *source, const deformable_sampling_queries *queries,
                                  const deformable_sampling_gradients *gradients, int64_t first, int64_t end);

/// Copies pixels `first..<end` of all heads from one order to another, given by bytes from a head and from a pixel to the next.
void deformable_sampling_reorder(int64_t heads, int64_t head_size, int64_t first, int64_t end, const void *from,
                                 int64_t from_head, int64_t from_pixel, void *to, int64_t to_head, int64_t to_pixel);

#endif
