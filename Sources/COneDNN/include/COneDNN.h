/// The few calls of oneDNN that the network needs, without oneDNN's own types; versions 2.x and 3.x.
///
/// Activations are dense with channels innermost (`nhwc`); weights come as 32-bit floats in the checkpoints' order and are
/// packed once into the type and whatever order oneDNN prefers for the operation. An operation is compiled for one shape, holds
/// no data, and may be executed by several threads at once. Functions return 0 or oneDNN's status code.
#ifndef CONEDNN_H
#define CONEDNN_H

#include <stddef.h>
#include <stdint.h>

typedef struct onednn_operation onednn_operation;

/// What the numbers of a tensor are.
typedef enum {
    onednn_float32,
    /// The upper half of a float32: 8 bits of precision, the same range.
    onednn_bfloat16,
    /// Whole numbers: multiplied with weights that are onednn_int8.
    onednn_uint8,
    onednn_int8,
} onednn_type;

/// What an operation multiplies, and what it stores; biases are float32 always, sums float32 or, of whole numbers, 32-bit integers.
typedef struct {
    onednn_type factors, result;
} onednn_types;

/// 1 if the processor has instructions for products of 8-bit whole numbers that are summed in 32 bits, and oneDNN uses them.
int onednn_multiplies_int8(void);

/// 1 if the processor has instructions for products of bfloat16, and oneDNN uses them.
int onednn_multiplies_bfloat16(void);

/// What happens to a product before it is stored: + bias, * a factor, + what the destination holds, then max(0, x).
typedef struct {
    int has_bias;
    int adds_destination;
    int has_relu;
    /// What the product and its bias are multiplied by, one for each output channel; null for 1.
    const float *scales;
    int64_t scale_count;
    /// What the destination's numbers are, if they are added, and what they are multiplied by; zeros: as the result, and 1.
    onednn_type added_type;
    float added_scale;
} onednn_epilogue;

/// A 2-D convolution: source `[batch, height, width, channels]`, weights `[output_channels, channels, kernel_height,
/// kernel_width]`, bias `[output_channels]`, destination `[batch, output_height, output_width, output_channels]`.
typedef struct {
    int64_t batch, height, width, channels;
    int64_t output_height, output_width, output_channels;
    int64_t kernel_height, kernel_width;
    int64_t stride_height, stride_width;
    /// Distance between taps: 1 for an ordinary convolution.
    int64_t dilation_height, dilation_width;
    int64_t padding_top, padding_left, padding_bottom, padding_right;
    onednn_types types;
    onednn_epilogue epilogue;
} onednn_convolution;

/// A product with constant weights: source `[rows, inner]`, weights `[columns, inner]` (transposed, as PyTorch stores them),
/// bias `[columns]`, destination `[rows, columns]`.
typedef struct {
    int64_t rows, inner, columns;
    onednn_types types;
    onednn_epilogue epilogue;
} onednn_product;

/// A batch of products of two activations, `[b0, b1, rows, inner] x [b0, b1, inner, columns]`, each with its own strides in
/// elements, so that heads can be read in place.
typedef struct {
    int64_t batches[2];
    int64_t rows, inner, columns;
    int64_t left_strides[4], right_strides[4], result_strides[4];
    onednn_types types;
    /// Adds to what the result holds.
    int adds_destination;
} onednn_batched_product;

int onednn_convolution_create(const onednn_convolution *shape, onednn_operation **operation);
/// The gradient of a convolution's source from that of its destination: executed with the destination's gradient as `source`
/// and the weights packed for it, it writes the source's gradient. The epilogue counts for nothing.
int onednn_convolution_input_gradient_create(const onednn_convolution *shape, onednn_operation **operation);
/// The gradient of a convolution's weights: executed with the convolution's source as `source` and its destination's gradient
/// as `weights`, it writes onednn_result_size bytes for onednn_unpack_weights_gradient. The epilogue counts for nothing.
///
/// Its sums depend in their last bits on the number of threads, which share them.
int onednn_convolution_weights_gradient_create(const onednn_convolution *shape, onednn_operation **operation);
int onednn_product_create(const onednn_product *shape, onednn_operation **operation);
int onednn_batched_product_create(const onednn_batched_product *shape, onednn_operation **operation);
void onednn_operation_destroy(onednn_operation *operation);

/// Bytes of the operation's packed weights.
size_t onednn_packed_weights_size(const onednn_operation *operation);
/// Bytes that an execution writes to its destination.
size_t onednn_result_size(const onednn_operation *operation);
/// Bytes of scratch memory that an execution needs, 64-byte aligned.
size_t onednn_scratchpad_size(const onednn_operation *operation);
/// 1 if weights packed for one operation serve the other.
int onednn_packs_weights_alike(const onednn_operation *left, const onednn_operation *right);

/// Packs weights that are in the checkpoint's order.
int onednn_pack_weights(const onednn_operation *operation, const float *plain, void *packed);
/// Brings packed weights back into the checkpoint's order.
int onednn_unpack_weights(const onednn_operation *operation, const void *packed, float *plain);
/// Brings what a weights' gradient wrote into the checkpoint's order.
int onednn_unpack_weights_gradient(const onednn_operation *operation, const void *packed, float *plain);
/// Brings weights packed for another operation of the same layer into this one's order.
int onednn_repack_weights(const onednn_operation *from, const void *packed, const onednn_operation *to, void *repacked);

/// Runs the operation. `weights` are packed (or the right-hand activations of a batched product, or an output's gradient);
/// `bias` is null without one.
int onednn_execute(const onednn_operation *operation, const void *source, const void *weights, const float *bias,
                   void *destination, void *scratchpad);

/// The library's version in use, such as "2.6.3".
const char *onednn_version_text(void);

#endif
