/// The sigmoid focal loss of class logits, with exponent 2.
///
/// - Source: "Focal Loss for Dense Object Detection" (arXiv 1708.02002), equation 5; `sigmoid_focal_loss` in
///   `models/segmentation.py` of fundamentalvision/Deformable-DETR.
#ifndef CKERNELS_FOCAL_LOSS_H
#define CKERNELS_FOCAL_LOSS_H

#include <stdint.h>

/// Returns the sum of the losses of `count` logits and writes `scale` times its gradient.
///
/// `positives` are the numbers of the logits whose class is the true one, `positive_count` in ascending order; all others should
/// be low. `alpha` weighs the loss of the positives, `1 - alpha` that of the others.
double focal_loss(int64_t count, const float *logits, int64_t positive_count, const int64_t *positives, float alpha,
                  float scale, float *gradient);

#endif
