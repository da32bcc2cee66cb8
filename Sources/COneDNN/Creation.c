// How operations are made: from shapes to oneDNN's descriptors, and to code.
#include <stdlib.h>
#include <string.h>

#include "Operation.h"

static const operands forward_operands = {
    {DNNL_ARG_SRC, dnnl_query_src_md},
    {DNNL_ARG_WEIGHTS, dnnl_query_weights_md},
    {DNNL_ARG_DST, dnnl_query_dst_md},
};
static const operands input_gradient_operands = {
    {DNNL_ARG_DIFF_DST, dnnl_query_diff_dst_md},
    {DNNL_ARG_WEIGHTS, dnnl_query_weights_md},
    {DNNL_ARG_DIFF_SRC, dnnl_query_diff_src_md},
};
static const operands weights_gradient_operands = {
    {DNNL_ARG_SRC, dnnl_query_src_md},
    {DNNL_ARG_DIFF_DST, dnnl_query_diff_dst_md},
    {DNNL_ARG_DIFF_WEIGHTS, dnnl_query_diff_weights_md},
};

static dnnl_data_type_t data_type(onednn_type type) {
    switch (type) {
    case onednn_float32: return dnnl_f32;
    case onednn_bfloat16: return dnnl_bf16;
    case onednn_uint8: return dnnl_u8;
    case onednn_int8: return dnnl_s8;
    }
    return dnnl_data_type_undef;
}

/// What weights are that are multiplied with a source.
static onednn_type weights_type(onednn_type source) { return source == onednn_uint8 ? onednn_int8 : source; }

/// Scratch memory comes from the caller; the sum comes before the ReLU, as in a residual block.
///
/// - Parameter weights_axis: the weights' axis of output channels.
static dnnl_status_t make_attributes(const onednn_epilogue *epilogue, int weights_axis, dnnl_primitive_attr_t *attributes) {
    RETURN_IF_FAILED(dnnl_primitive_attr_create(attributes));
    RETURN_IF_FAILED(dnnl_primitive_attr_set_scratchpad_mode(*attributes, dnnl_scratchpad_mode_user));
    if (epilogue->scales)
        RETURN_IF_FAILED(onednn_set_scales(*attributes, weights_axis, epilogue->scale_count, epilogue->scales));
    if (!epilogue->adds_destination && !epilogue->has_relu) return dnnl_success;
    dnnl_post_ops_t post_operations;
    RETURN_IF_FAILED(dnnl_post_ops_create(&post_operations));
    dnnl_status_t status = dnnl_success;
    if (epilogue->adds_destination && epilogue->added_scale != 0.0f)
        status = onednn_append_sum(post_operations, epilogue->added_scale, data_type(epilogue->added_type));
    else if (epilogue->adds_destination) status = onednn_append_sum(post_operations, 1.0f, dnnl_data_type_undef);
    if (status == dnnl_success && epilogue->has_relu) status = onednn_append_relu(post_operations);
    if (status == dnnl_success) status = dnnl_primitive_attr_set_post_ops(*attributes, post_operations);
    dnnl_post_ops_destroy(post_operations);
    return status;
}

/// Keeps the scales of an operation that wants them with every execution.
static dnnl_status_t keep_scales(onednn_operation *operation, const onednn_epilogue *epilogue) {
    if (!epilogue->scales || !scales_are_arguments) return dnnl_success;
    operation->scales = malloc((size_t)epilogue->scale_count * sizeof *operation->scales);
    if (!operation->scales) return dnnl_out_of_memory;
    memcpy(operation->scales, epilogue->scales, (size_t)epilogue->scale_count * sizeof *operation->scales);
    operation->scale_count = epilogue->scale_count;
    const dnnl_dims_t sizes = {epilogue->scale_count};
    return onednn_layout_make(&operation->scales_layout, 1, sizes, dnnl_f32, dnnl_a);
}

/// What an operation is before oneDNN chooses an implementation.
typedef struct {
    const operands *operands;
    const onednn_epilogue *epilogue;
    /// The weights' axis of output channels.
    int weights_axis;
    /// Either of the two.
    const convolution_tensors *convolution;
    const product_tensors *product;
    convolution_kind kind;
    /// A gradient goes with a forward operation, which oneDNN asks for as a hint: that one's tensors.
    const convolution_tensors *forward;
    const char *preferred;
} description;

static dnnl_status_t describe(const description *of, const_dnnl_primitive_attr_t attributes, dnnl_primitive_desc_t *result) {
    dnnl_engine_t cpu;
    RETURN_IF_FAILED(onednn_engine(&cpu));
    if (of->product) return onednn_describe_product(of->preferred, of->product, cpu, attributes, result);
    if (of->kind == convolution_forward)
        return onednn_describe_convolution(of->kind, dnnl_forward_inference, of->convolution, cpu, attributes, NULL, result);
    dnnl_primitive_desc_t forward = NULL;
    RETURN_IF_FAILED(
        onednn_describe_convolution(convolution_forward, dnnl_forward_training, of->forward, cpu, NULL, NULL, &forward));
    const dnnl_status_t status =
        onednn_describe_convolution(of->kind, dnnl_forward_training, of->convolution, cpu, attributes, forward, result);
    dnnl_primitive_desc_destroy(forward);
    return status;
}

/// Compiles what `of` says; the operation owns the result and, from now on, `plain_weights`.
static dnnl_status_t compile(const description *of, layout plain_weights, onednn_operation **result) {
    onednn_operation *operation = calloc(1, sizeof *operation);
    if (!operation) {
        onednn_layout_release(&plain_weights);
        return dnnl_out_of_memory;
    }
    operation->operands = of->operands;
    operation->plain_weights = plain_weights;
    operation->has_bias = of->epilogue->has_bias;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_status_t status = keep_scales(operation, of->epilogue);
    if (status == dnnl_success) status = make_attributes(of->epilogue, of->weights_axis, &attributes);
    pthread_mutex_lock(&onednn_compiling);
    if (status == dnnl_success) status = describe(of, attributes, &operation->descriptor);
    if (status == dnnl_success) status = dnnl_primitive_create(&operation->primitive, operation->descriptor);
    pthread_mutex_unlock(&onednn_compiling);
    if (attributes) dnnl_primitive_attr_destroy(attributes);
    if (status != dnnl_success) {
        onednn_operation_destroy(operation);
        return status;
    }
    *result = operation;
    return dnnl_success;
}

/// The types of a convolution's source, weights and destination, or of their gradients.
typedef struct {
    onednn_type source, weights, destination;
} convolution_types;

static dnnl_status_t make_tensors(const onednn_convolution *shape, convolution_types types, int has_bias,
                                  convolution_tensors *tensors) {
    const dnnl_dims_t source = {shape->batch, shape->channels, shape->height, shape->width};
    const dnnl_dims_t weights = {shape->output_channels, shape->channels, shape->kernel_height, shape->kernel_width};
    const dnnl_dims_t bias = {shape->output_channels};
    const dnnl_dims_t destination = {shape->batch, shape->output_channels, shape->output_height, shape->output_width};
    RETURN_IF_FAILED(onednn_layout_make(&tensors->source, 4, source, data_type(types.source), dnnl_nhwc));
    RETURN_IF_FAILED(onednn_layout_make(&tensors->weights, 4, weights, data_type(types.weights), dnnl_format_tag_any));
    if (has_bias) RETURN_IF_FAILED(onednn_layout_make(&tensors->bias, 1, bias, dnnl_f32, dnnl_a));
    return onednn_layout_make(&tensors->destination, 4, destination, data_type(types.destination), dnnl_nhwc);
}

static void release_tensors(convolution_tensors *tensors) {
    onednn_layout_release(&tensors->source);
    onednn_layout_release(&tensors->weights);
    onednn_layout_release(&tensors->bias);
    onednn_layout_release(&tensors->destination);
}

static int create_convolution(const onednn_convolution *shape, convolution_kind kind, convolution_types types,
                              const operands *operands, const onednn_epilogue *epilogue, onednn_operation **operation) {
    const convolution_tensors walk = {
        .strides = {shape->stride_height, shape->stride_width},
        .gaps = {shape->dilation_height - 1, shape->dilation_width - 1},
        .padding_start = {shape->padding_top, shape->padding_left},
        .padding_end = {shape->padding_bottom, shape->padding_right},
    };
    convolution_tensors tensors = walk, forward = walk;
    const dnnl_dims_t weights = {shape->output_channels, shape->channels, shape->kernel_height, shape->kernel_width};
    const onednn_type factors = shape->types.factors;
    layout plain_weights = {.exists = 0};
    dnnl_status_t status = make_tensors(shape, types, epilogue->has_bias, &tensors);
    if (status == dnnl_success && kind != convolution_forward)
        status = make_tensors(shape, (convolution_types){factors, factors, factors}, 0, &forward);
    if (status == dnnl_success) status = onednn_layout_make(&plain_weights, 4, weights, dnnl_f32, dnnl_oihw);
    const description description = {
        .operands = operands, .epilogue = epilogue, .convolution = &tensors, .kind = kind, .forward = &forward};
    if (status == dnnl_success) status = compile(&description, plain_weights, operation);
    release_tensors(&tensors);
    release_tensors(&forward);
    return status;
}

int onednn_convolution_create(const onednn_convolution *shape, onednn_operation **operation) {
    const onednn_types types = shape->types;
    return create_convolution(shape, convolution_forward,
                              (convolution_types){types.factors, weights_type(types.factors), types.result},
                              &forward_operands, &shape->epilogue, operation);
}

static const onednn_epilogue no_epilogue = {.has_bias = 0};

int onednn_convolution_input_gradient_create(const onednn_convolution *shape, onednn_operation **operation) {
    const onednn_types types = shape->types;
    return create_convolution(shape, convolution_input_gradient,
                              (convolution_types){types.result, types.factors, types.factors}, &input_gradient_operands,
                              &no_epilogue, operation);
}

int onednn_convolution_weights_gradient_create(const onednn_convolution *shape, onednn_operation **operation) {
    const onednn_types types = shape->types;
    return create_convolution(shape, convolution_weights_gradient,
                              (convolution_types){types.factors, types.result, types.factors}, &weights_gradient_operands,
                              &no_epilogue, operation);
}

/// Compiles a matrix product whose tensors have been made, or says what failed in making them; releases them.
static int create_product(dnnl_status_t made, product_tensors *tensors, layout plain_weights, const onednn_epilogue *epilogue,
                          const char *preferred, onednn_operation **operation) {
    const description description = {
        .operands = &forward_operands, .epilogue = epilogue, .weights_axis = 1, .product = tensors, .preferred = preferred};
    dnnl_status_t status = made;
    if (status == dnnl_success) status = compile(&description, plain_weights, operation);
    else onednn_layout_release(&plain_weights);
    onednn_layout_release(&tensors->left);
    onednn_layout_release(&tensors->right);
    onednn_layout_release(&tensors->bias);
    onednn_layout_release(&tensors->result);
    return status;
}

static dnnl_status_t make_product(const onednn_product *shape, product_tensors *tensors, layout *plain_weights) {
    const dnnl_dims_t source = {shape->rows, shape->inner};
    const dnnl_dims_t weights = {shape->inner, shape->columns};
    const dnnl_dims_t bias = {1, shape->columns};
    const dnnl_dims_t destination = {shape->rows, shape->columns};
    const onednn_type factors = shape->types.factors;
    RETURN_IF_FAILED(onednn_layout_make(&tensors->left, 2, source, data_type(factors), dnnl_ab));
    RETURN_IF_FAILED(onednn_layout_make(&tensors->right, 2, weights, data_type(weights_type(factors)), dnnl_format_tag_any));
    RETURN_IF_FAILED(onednn_layout_make(plain_weights, 2, weights, dnnl_f32, dnnl_ba));
    if (shape->epilogue.has_bias) RETURN_IF_FAILED(onednn_layout_make(&tensors->bias, 2, bias, dnnl_f32, dnnl_ab));
    return onednn_layout_make(&tensors->result, 2, destination, data_type(shape->types.result), dnnl_ab);
}

int onednn_product_create(const onednn_product *shape, onednn_operation **operation) {
    product_tensors tensors = {.left = {.exists = 0}};
    layout plain_weights = {.exists = 0};
    const dnnl_status_t made = make_product(shape, &tensors, &plain_weights);
    return create_product(made, &tensors, plain_weights, &shape->epilogue, NULL, operation);
}

static dnnl_status_t make_batched_product(const onednn_batched_product *shape, product_tensors *tensors) {
    const dnnl_dims_t left = {shape->batches[0], shape->batches[1], shape->rows, shape->inner};
    const dnnl_dims_t right = {shape->batches[0], shape->batches[1], shape->inner, shape->columns};
    const dnnl_dims_t result = {shape->batches[0], shape->batches[1], shape->rows, shape->columns};
    const dnnl_data_type_t factor_type = data_type(shape->types.factors), result_type = data_type(shape->types.result);
    RETURN_IF_FAILED(onednn_layout_make_strided(&tensors->left, 4, left, factor_type, shape->left_strides));
    RETURN_IF_FAILED(onednn_layout_make_strided(&tensors->right, 4, right, factor_type, shape->right_strides));
    return onednn_layout_make_strided(&tensors->result, 4, result, result_type, shape->result_strides);
}

int onednn_batched_product_create(const onednn_batched_product *shape, onednn_operation **operation) {
    product_tensors tensors = {.left = {.exists = 0}};
    const dnnl_status_t made = make_batched_product(shape, &tensors);
    const onednn_epilogue epilogue = {.adds_destination = shape->adds_destination};
    // Few rows of long columns, as in the gradient of a layer's weights: "gemm:jit" of oneDNN 2.6.3 reaches 230 GFLOP/s a core on
    // AVX-512 where its first choice, "brg:avx512_core", reaches 200. Threads may share its sums, whose last bits then depend on how
    // many there are.
    const int is_long = shape->left_strides[2] == 1 && shape->inner >= 4096 && shape->rows <= 512;
    const layout no_weights = {.exists = 0};
    return create_product(made, &tensors, no_weights, &epilogue, is_long ? "gemm:jit" : NULL, operation);
}
