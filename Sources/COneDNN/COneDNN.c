// oneDNN behind COneDNN.h: a compiled operation is a primitive with its memory descriptors. What its versions do in different
// ways is in Version.h.
#include "COneDNN.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "Version.h"

/// Compiled primitives that oneDNN itself keeps, so that layers of one shape share their code. Its default of 1024 held about
/// 100 MB after 56 image sizes with a tiny model.
enum { kept_primitives = 128 };

/// One of an operation's tensors: the argument that oneDNN knows it as, and how to ask for its order in memory.
typedef struct {
    int argument;
    dnnl_query_t memory;
} operand;

/// What the two operands and the result of onednn_execute are to oneDNN.
typedef struct {
    operand source, weights, destination;
} operands;

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

struct onednn_operation {
    dnnl_primitive_desc_t descriptor;
    dnnl_primitive_t primitive;
    const operands *operands;
    /// The weights, or their gradient, as checkpoints store them.
    layout plain_weights;
    int has_bias;
    /// Where scales are arguments: one for each output channel, and how they and the bias lie. NULL for none.
    float *scales;
    int64_t scale_count;
    layout scales_layout;
};

static dnnl_engine_t shared_engine;
static dnnl_status_t engine_status;
static pthread_once_t engine_once = PTHREAD_ONCE_INIT;

static void create_engine(void) {
    engine_status = dnnl_engine_create(&shared_engine, dnnl_cpu, 0);
    if (engine_status == dnnl_success) engine_status = dnnl_set_primitive_cache_capacity(kept_primitives);
}

static dnnl_status_t engine(dnnl_engine_t *result) {
    pthread_once(&engine_once, create_engine);
    *result = shared_engine;
    return engine_status;
}

/// Held while operations are chosen and their code is made. When two threads do that at once, oneDNN 2.6.3 now and then makes
/// wrong code without an error: of convolutions in float32 and bfloat16 compiled side by side, some then had outputs of 1e9, in
/// 18 of 36 runs of LayersTests or its suites of convolutions. With this lock: in none of 36.
static pthread_mutex_t compiling = PTHREAD_MUTEX_INITIALIZER;

#define RETURN_IF_FAILED(call)                                                                                              \
    do {                                                                                                                    \
        dnnl_status_t status_ = (call);                                                                                     \
        if (status_ != dnnl_success) return status_;                                                                        \
    } while (0)

int onednn_multiplies_bfloat16(void) {
    // A set of instructions has the bits of all those that it extends; outside x86-64 there are no bits.
    return (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16;
}

int onednn_multiplies_int8(void) {
    const dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
    return (isa & dnnl_cpu_isa_avx512_core_vnni) == dnnl_cpu_isa_avx512_core_vnni;
}

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
        RETURN_IF_FAILED(set_scales(*attributes, weights_axis, epilogue->scale_count, epilogue->scales));
    if (!epilogue->adds_destination && !epilogue->has_relu) return dnnl_success;
    dnnl_post_ops_t post_operations;
    RETURN_IF_FAILED(dnnl_post_ops_create(&post_operations));
    dnnl_status_t status = dnnl_success;
    if (epilogue->adds_destination && epilogue->added_scale != 0.0f)
        status = append_sum(post_operations, epilogue->added_scale, data_type(epilogue->added_type));
    else if (epilogue->adds_destination) status = append_sum(post_operations, 1.0f, dnnl_data_type_undef);
    if (status == dnnl_success && epilogue->has_relu) status = append_relu(post_operations);
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
    return layout_make(&operation->scales_layout, 1, sizes, dnnl_f32, dnnl_a);
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
    RETURN_IF_FAILED(engine(&cpu));
    if (of->product) return describe_product(of->preferred, of->product, cpu, attributes, result);
    if (of->kind == convolution_forward)
        return describe_convolution(of->kind, dnnl_forward_inference, of->convolution, cpu, attributes, NULL, result);
    dnnl_primitive_desc_t forward = NULL;
    RETURN_IF_FAILED(
        describe_convolution(convolution_forward, dnnl_forward_training, of->forward, cpu, NULL, NULL, &forward));
    const dnnl_status_t status =
        describe_convolution(of->kind, dnnl_forward_training, of->convolution, cpu, attributes, forward, result);
    dnnl_primitive_desc_destroy(forward);
    return status;
}

/// Compiles what `of` says; the operation owns the result and, from now on, `plain_weights`.
static dnnl_status_t compile(const description *of, layout plain_weights, onednn_operation **result) {
    onednn_operation *operation = calloc(1, sizeof *operation);
    if (!operation) {
        layout_release(&plain_weights);
        return dnnl_out_of_memory;
    }
    operation->operands = of->operands;
    operation->plain_weights = plain_weights;
    operation->has_bias = of->epilogue->has_bias;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_status_t status = keep_scales(operation, of->epilogue);
    if (status == dnnl_success) status = make_attributes(of->epilogue, of->weights_axis, &attributes);
    pthread_mutex_lock(&compiling);
    if (status == dnnl_success) status = describe(of, attributes, &operation->descriptor);
    if (status == dnnl_success) status = dnnl_primitive_create(&operation->primitive, operation->descriptor);
    pthread_mutex_unlock(&compiling);
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
    RETURN_IF_FAILED(layout_make(&tensors->source, 4, source, data_type(types.source), dnnl_nhwc));
    RETURN_IF_FAILED(layout_make(&tensors->weights, 4, weights, data_type(types.weights), dnnl_format_tag_any));
    if (has_bias) RETURN_IF_FAILED(layout_make(&tensors->bias, 1, bias, dnnl_f32, dnnl_a));
    return layout_make(&tensors->destination, 4, destination, data_type(types.destination), dnnl_nhwc);
}

static void release_tensors(convolution_tensors *tensors) {
    layout_release(&tensors->source);
    layout_release(&tensors->weights);
    layout_release(&tensors->bias);
    layout_release(&tensors->destination);
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
    if (status == dnnl_success) status = layout_make(&plain_weights, 4, weights, dnnl_f32, dnnl_oihw);
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
    else layout_release(&plain_weights);
    layout_release(&tensors->left);
    layout_release(&tensors->right);
    layout_release(&tensors->bias);
    layout_release(&tensors->result);
    return status;
}

static dnnl_status_t make_product(const onednn_product *shape, product_tensors *tensors, layout *plain_weights) {
    const dnnl_dims_t source = {shape->rows, shape->inner};
    const dnnl_dims_t weights = {shape->inner, shape->columns};
    const dnnl_dims_t bias = {1, shape->columns};
    const dnnl_dims_t destination = {shape->rows, shape->columns};
    const onednn_type factors = shape->types.factors;
    RETURN_IF_FAILED(layout_make(&tensors->left, 2, source, data_type(factors), dnnl_ab));
    RETURN_IF_FAILED(layout_make(&tensors->right, 2, weights, data_type(weights_type(factors)), dnnl_format_tag_any));
    RETURN_IF_FAILED(layout_make(plain_weights, 2, weights, dnnl_f32, dnnl_ba));
    if (shape->epilogue.has_bias) RETURN_IF_FAILED(layout_make(&tensors->bias, 2, bias, dnnl_f32, dnnl_ab));
    return layout_make(&tensors->result, 2, destination, data_type(shape->types.result), dnnl_ab);
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
    RETURN_IF_FAILED(layout_make_strided(&tensors->left, 4, left, factor_type, shape->left_strides));
    RETURN_IF_FAILED(layout_make_strided(&tensors->right, 4, right, factor_type, shape->right_strides));
    return layout_make_strided(&tensors->result, 4, result, result_type, shape->result_strides);
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

void onednn_operation_destroy(onednn_operation *operation) {
    if (!operation) return;
    if (operation->primitive) dnnl_primitive_destroy(operation->primitive);
    if (operation->descriptor) dnnl_primitive_desc_destroy(operation->descriptor);
    layout_release(&operation->plain_weights);
    layout_release(&operation->scales_layout);
    free(operation->scales);
    free(operation);
}

static layout_reference memory_of(const onednn_operation *operation, dnnl_query_t which) {
    return dnnl_primitive_desc_query_md(operation->descriptor, which, 0);
}

size_t onednn_packed_weights_size(const onednn_operation *operation) {
    return dnnl_memory_desc_get_size(memory_of(operation, operation->operands->weights.memory));
}

size_t onednn_result_size(const onednn_operation *operation) {
    return dnnl_memory_desc_get_size(memory_of(operation, operation->operands->destination.memory));
}

/// Bytes that oneDNN itself wants, up to the next cache line.
static size_t own_scratchpad_size(const onednn_operation *operation) {
    return (dnnl_memory_desc_get_size(memory_of(operation, dnnl_query_scratchpad_md)) + 63) / 64 * 64;
}

size_t onednn_scratchpad_size(const onednn_operation *operation) {
    // Behind it, the bias in units of the result.
    const int scales_bias = operation->scales && operation->has_bias;
    return own_scratchpad_size(operation) + (scales_bias ? (size_t)operation->scale_count * sizeof(float) : 0);
}

int onednn_packs_weights_alike(const onednn_operation *left, const onednn_operation *right) {
    return dnnl_memory_desc_equal(memory_of(left, dnnl_query_weights_md), memory_of(right, dnnl_query_weights_md));
}

/// Copies between two orders of the same elements.
static dnnl_status_t reorder(layout_reference from, const void *source, layout_reference to, void *target) {
    dnnl_engine_t cpu;
    RETURN_IF_FAILED(engine(&cpu));
    dnnl_primitive_desc_t descriptor = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_memory_t source_memory = NULL, target_memory = NULL;
    dnnl_stream_t stream = NULL;
    pthread_mutex_lock(&compiling);
    dnnl_status_t status = dnnl_reorder_primitive_desc_create(&descriptor, from, cpu, to, cpu, NULL);
    if (status == dnnl_success) status = dnnl_primitive_create(&primitive, descriptor);
    pthread_mutex_unlock(&compiling);
    if (status == dnnl_success) status = dnnl_memory_create(&source_memory, from, cpu, (void *)source);
    if (status == dnnl_success) status = dnnl_memory_create(&target_memory, to, cpu, target);
    if (status == dnnl_success) status = dnnl_stream_create(&stream, cpu, dnnl_stream_default_flags);
    if (status == dnnl_success) {
        const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, source_memory}, {DNNL_ARG_TO, target_memory}};
        status = dnnl_primitive_execute(primitive, stream, 2, arguments);
    }
    if (status == dnnl_success) status = dnnl_stream_wait(stream);
    if (stream) dnnl_stream_destroy(stream);
    if (target_memory) dnnl_memory_destroy(target_memory);
    if (source_memory) dnnl_memory_destroy(source_memory);
    if (primitive) dnnl_primitive_destroy(primitive);
    if (descriptor) dnnl_primitive_desc_destroy(descriptor);
    return status;
}

int onednn_pack_weights(const onednn_operation *operation, const float *plain, void *packed) {
    return reorder(layout_refer(&operation->plain_weights), plain, memory_of(operation, dnnl_query_weights_md), packed);
}

int onednn_unpack_weights(const onednn_operation *operation, const void *packed, float *plain) {
    return reorder(memory_of(operation, dnnl_query_weights_md), packed, layout_refer(&operation->plain_weights), plain);
}

int onednn_unpack_weights_gradient(const onednn_operation *operation, const void *packed, float *plain) {
    return reorder(memory_of(operation, dnnl_query_diff_weights_md), packed, layout_refer(&operation->plain_weights), plain);
}

int onednn_repack_weights(const onednn_operation *from, const void *packed, const onednn_operation *to, void *repacked) {
    return reorder(memory_of(from, dnnl_query_weights_md), packed, memory_of(to, dnnl_query_weights_md), repacked);
}

/// The bias in units of the result, written behind oneDNN's own scratch memory; the bias itself without scales.
static const float *scaled_bias(const onednn_operation *operation, const float *bias, void *scratchpad) {
    if (!operation->scales || !operation->has_bias) return bias;
    float *scaled = (float *)((char *)scratchpad + own_scratchpad_size(operation));
    for (int64_t channel = 0; channel < operation->scale_count; channel++)
        scaled[channel] = bias[channel] * operation->scales[channel];
    return scaled;
}

int onednn_execute(const onednn_operation *operation, const void *source, const void *weights, const float *bias,
                   void *destination, void *scratchpad) {
    dnnl_engine_t cpu;
    RETURN_IF_FAILED(engine(&cpu));
    const operands *operands = operation->operands;
    struct {
        int argument;
        layout_reference layout;
        const void *data;
    } uses[6] = {
        {operands->source.argument, memory_of(operation, operands->source.memory), source},
        {operands->weights.argument, memory_of(operation, operands->weights.memory), weights},
        {operands->destination.argument, memory_of(operation, operands->destination.memory), destination},
        {DNNL_ARG_SCRATCHPAD, memory_of(operation, dnnl_query_scratchpad_md), scratchpad},
    };
    int count = 4;
    if (operation->has_bias) {
        uses[count].argument = DNNL_ARG_BIAS;
        uses[count].layout = dnnl_primitive_desc_query_md(operation->descriptor, dnnl_query_weights_md, 1);
        uses[count++].data = scaled_bias(operation, bias, scratchpad);
    }
#ifdef DNNL_ARG_ATTR_SCALES
    if (operation->scales) {
        uses[count].argument = DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS;
        uses[count].layout = layout_refer(&operation->scales_layout);
        uses[count++].data = operation->scales;
    }
#endif
    dnnl_exec_arg_t arguments[6];
    dnnl_stream_t stream = NULL;
    dnnl_status_t status = dnnl_stream_create(&stream, cpu, dnnl_stream_default_flags);
    int made = 0;
    for (; made < count && status == dnnl_success; made++) {
        arguments[made].arg = uses[made].argument;
        arguments[made].memory = NULL;
        status = dnnl_memory_create(&arguments[made].memory, uses[made].layout, cpu, (void *)uses[made].data);
    }
    if (status == dnnl_success) status = dnnl_primitive_execute(operation->primitive, stream, count, arguments);
    if (status == dnnl_success) status = dnnl_stream_wait(stream);
    for (int index = 0; index < made; index++)
        if (arguments[index].memory) dnnl_memory_destroy(arguments[index].memory);
    if (stream) dnnl_stream_destroy(stream);
    return status;
}

static char version_text[32];
static pthread_once_t version_once = PTHREAD_ONCE_INIT;

static void write_version(void) {
    const dnnl_version_t *version = dnnl_version();
    snprintf(version_text, sizeof version_text, "%d.%d.%d", version->major, version->minor, version->patch);
}

const char *onednn_version_text(void) {
    pthread_once(&version_once, write_version);
    return version_text;
}
