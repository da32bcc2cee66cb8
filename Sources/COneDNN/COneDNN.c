// oneDNN 2.x behind COneDNN.h: a compiled operation is a primitive with its memory descriptors.
#if !__has_include(<oneapi/dnnl/dnnl.h>)
#error "oneDNN's headers are missing: apt-get install libdnnl-dev (Debian 12, Ubuntu 22.04 and 24.04 have version 2)"
#endif

#include "COneDNN.h"

#include <oneapi/dnnl/dnnl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if DNNL_VERSION_MAJOR != 2
#error "this bridge speaks oneDNN 2.x; the version found has other calls"
#endif

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
    dnnl_memory_desc_t plain_weights;
    int has_bias;
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

static dnnl_memory_desc_t described(int rank, const dnnl_dims_t sizes, onednn_type type, dnnl_format_tag_t tag) {
    dnnl_memory_desc_t descriptor;
    memset(&descriptor, 0, sizeof descriptor);
    dnnl_memory_desc_init_by_tag(&descriptor, rank, sizes, data_type(type), tag);
    return descriptor;
}

/// Scratch memory comes from the caller; the sum comes before the ReLU, as in a residual block.
static dnnl_status_t make_attributes(const onednn_epilogue *epilogue, dnnl_primitive_attr_t *attributes) {
    RETURN_IF_FAILED(dnnl_primitive_attr_create(attributes));
    RETURN_IF_FAILED(dnnl_primitive_attr_set_scratchpad_mode(*attributes, dnnl_scratchpad_mode_user));
    if (epilogue && epilogue->scales)
        // Output channels are the second axis of every destination.
        RETURN_IF_FAILED(dnnl_primitive_attr_set_output_scales(*attributes, epilogue->scale_count, 1 << 1, epilogue->scales));
    if (!epilogue || (!epilogue->adds_destination && !epilogue->has_relu)) return dnnl_success;
    dnnl_post_ops_t post_operations;
    RETURN_IF_FAILED(dnnl_post_ops_create(&post_operations));
    dnnl_status_t status = dnnl_success;
    if (epilogue->adds_destination && epilogue->added_scale != 0.0f)
        status = dnnl_post_ops_append_sum_v2(post_operations, epilogue->added_scale, data_type(epilogue->added_type));
    else if (epilogue->adds_destination)
        status = dnnl_post_ops_append_sum(post_operations, 1.0f);
    if (status == dnnl_success && epilogue->has_relu)
        status = dnnl_post_ops_append_eltwise(post_operations, 1.0f, dnnl_eltwise_relu, 0.0f, 0.0f);
    if (status == dnnl_success) status = dnnl_primitive_attr_set_post_ops(*attributes, post_operations);
    dnnl_post_ops_destroy(post_operations);
    return status;
}

/// An operation's descriptor: of the preferred implementation, or of the first that oneDNN offers.
static dnnl_status_t choose(const char *preferred, const_dnnl_op_desc_t description, const_dnnl_primitive_attr_t attributes,
                            const_dnnl_primitive_desc_t forward, dnnl_primitive_desc_t *result) {
    dnnl_engine_t cpu;
    RETURN_IF_FAILED(engine(&cpu));
    if (preferred) {
        dnnl_primitive_desc_iterator_t candidates = NULL;
        dnnl_status_t status = dnnl_primitive_desc_iterator_create(&candidates, description, attributes, cpu, forward);
        for (; status == dnnl_success; status = dnnl_primitive_desc_iterator_next(candidates)) {
            dnnl_primitive_desc_t candidate = dnnl_primitive_desc_iterator_fetch(candidates);
            const char *name = NULL;
            const int is_preferred =
                candidate && dnnl_primitive_desc_query(candidate, dnnl_query_impl_info_str, 0, &name) == dnnl_success &&
                strcmp(name, preferred) == 0;
            if (is_preferred) *result = candidate;
            else if (candidate) dnnl_primitive_desc_destroy(candidate);
            if (is_preferred) break;
        }
        if (candidates) dnnl_primitive_desc_iterator_destroy(candidates);
        if (*result) return dnnl_success;
    }
    return dnnl_primitive_desc_create(result, description, attributes, cpu, forward);
}

/// Compiles what `description` says; the operation owns the result.
///
/// - Parameters:
///   - forward: the forward operation that a backward one goes with; null for a forward one.
///   - preferred: oneDNN's name of the implementation to take if it has that for the operation; null for its own choice.
static dnnl_status_t compile_as(const char *preferred, const_dnnl_op_desc_t description, const_dnnl_primitive_desc_t forward,
                                const operands *operands, const onednn_epilogue *epilogue,
                                const dnnl_memory_desc_t *plain_weights, onednn_operation **result) {
    onednn_operation *operation = calloc(1, sizeof *operation);
    if (!operation) return dnnl_out_of_memory;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_status_t status = make_attributes(epilogue, &attributes);
    pthread_mutex_lock(&compiling);
    if (status == dnnl_success)
        status = choose(preferred, description, attributes, forward, &operation->descriptor);
    if (status == dnnl_success) status = dnnl_primitive_create(&operation->primitive, operation->descriptor);
    pthread_mutex_unlock(&compiling);
    if (attributes) dnnl_primitive_attr_destroy(attributes);
    if (status != dnnl_success) {
        onednn_operation_destroy(operation);
        return status;
    }
    operation->operands = operands;
    operation->plain_weights = *plain_weights;
    operation->has_bias = epilogue && epilogue->has_bias;
    *result = operation;
    return dnnl_success;
}

/// Compiles what `description` says by the implementation that oneDNN chooses.
static dnnl_status_t compile(const_dnnl_op_desc_t description, const_dnnl_primitive_desc_t forward, const operands *operands,
                             const onednn_epilogue *epilogue, const dnnl_memory_desc_t *plain_weights,
                             onednn_operation **result) {
    return compile_as(NULL, description, forward, operands, epilogue, plain_weights, result);
}

/// A convolution's tensors as oneDNN wants to hear of them.
typedef struct {
    dnnl_memory_desc_t source, weights, plain_weights, bias, destination;
    dnnl_dims_t strides, gaps, padding_start, padding_end;
} convolution_tensors;

/// The types of a convolution's source, weights and destination, or of their gradients.
typedef struct {
    onednn_type source, weights, destination;
} convolution_types;

static convolution_tensors tensors_of(const onednn_convolution *shape, convolution_types types) {
    const dnnl_dims_t source = {shape->batch, shape->channels, shape->height, shape->width};
    const dnnl_dims_t weights = {shape->output_channels, shape->channels, shape->kernel_height, shape->kernel_width};
    const dnnl_dims_t bias = {shape->output_channels};
    const dnnl_dims_t destination = {shape->batch, shape->output_channels, shape->output_height, shape->output_width};
    return (convolution_tensors){
        .source = described(4, source, types.source, dnnl_nhwc),
        .weights = described(4, weights, types.weights, dnnl_format_tag_any),
        .plain_weights = described(4, weights, onednn_float32, dnnl_oihw),
        .bias = described(1, bias, onednn_float32, dnnl_a),
        .destination = described(4, destination, types.destination, dnnl_nhwc),
        .strides = {shape->stride_height, shape->stride_width},
        .gaps = {shape->dilation_height - 1, shape->dilation_width - 1},
        .padding_start = {shape->padding_top, shape->padding_left},
        .padding_end = {shape->padding_bottom, shape->padding_right},
    };
}

int onednn_convolution_create(const onednn_convolution *shape, onednn_operation **operation) {
    const onednn_types types = shape->types;
    const convolution_tensors of =
        tensors_of(shape, (convolution_types){types.factors, weights_type(types.factors), .destination = types.result});
    dnnl_convolution_desc_t description;
    RETURN_IF_FAILED(dnnl_dilated_convolution_forward_desc_init(
        &description, dnnl_forward_inference, dnnl_convolution_direct, &of.source, &of.weights,
        shape->epilogue.has_bias ? &of.bias : NULL, &of.destination, of.strides, of.gaps, of.padding_start,
        of.padding_end));
    return compile(&description, NULL, &forward_operands, &shape->epilogue, &of.plain_weights, operation);
}

/// Compiles a backward operation beside the forward one that oneDNN asks for as a hint.
static dnnl_status_t compile_gradient(const onednn_convolution *shape, const dnnl_convolution_desc_t *description,
                                      const operands *operands, onednn_operation **operation) {
    dnnl_engine_t cpu;
    RETURN_IF_FAILED(engine(&cpu));
    const onednn_type factors = shape->types.factors;
    const convolution_tensors of = tensors_of(shape, (convolution_types){factors, factors, factors});
    dnnl_convolution_desc_t forward_description;
    RETURN_IF_FAILED(dnnl_dilated_convolution_forward_desc_init(
        &forward_description, dnnl_forward_training, dnnl_convolution_direct, &of.source, &of.weights, NULL,
        &of.destination, of.strides, of.gaps, of.padding_start, of.padding_end));
    dnnl_primitive_desc_t forward = NULL;
    pthread_mutex_lock(&compiling);
    dnnl_status_t status = dnnl_primitive_desc_create(&forward, &forward_description, NULL, cpu, NULL);
    pthread_mutex_unlock(&compiling);
    if (status != dnnl_success) return status;
    status = compile(description, forward, operands, NULL, &of.plain_weights, operation);
    dnnl_primitive_desc_destroy(forward);
    return status;
}

int onednn_convolution_input_gradient_create(const onednn_convolution *shape, onednn_operation **operation) {
    const onednn_types types = shape->types;
    const convolution_tensors of =
        tensors_of(shape, (convolution_types){.source = types.result, types.factors, types.factors});
    dnnl_convolution_desc_t description;
    RETURN_IF_FAILED(dnnl_dilated_convolution_backward_data_desc_init(
        &description, dnnl_convolution_direct, &of.source, &of.weights, &of.destination, of.strides, of.gaps,
        of.padding_start, of.padding_end));
    return compile_gradient(shape, &description, &input_gradient_operands, operation);
}

int onednn_convolution_weights_gradient_create(const onednn_convolution *shape, onednn_operation **operation) {
    const onednn_types types = shape->types;
    const convolution_tensors of =
        tensors_of(shape, (convolution_types){types.factors, .weights = types.result, types.factors});
    dnnl_convolution_desc_t description;
    RETURN_IF_FAILED(dnnl_dilated_convolution_backward_weights_desc_init(
        &description, dnnl_convolution_direct, &of.source, &of.weights, NULL, &of.destination, of.strides, of.gaps,
        of.padding_start, of.padding_end));
    return compile_gradient(shape, &description, &weights_gradient_operands, operation);
}

int onednn_product_create(const onednn_product *shape, onednn_operation **operation) {
    const dnnl_dims_t source = {shape->rows, shape->inner};
    const dnnl_dims_t weights = {shape->inner, shape->columns};
    const dnnl_dims_t bias = {1, shape->columns};
    const dnnl_dims_t destination = {shape->rows, shape->columns};

    dnnl_memory_desc_t source_memory = described(2, source, shape->types.factors, dnnl_ab);
    dnnl_memory_desc_t weights_memory = described(2, weights, weights_type(shape->types.factors), dnnl_format_tag_any);
    dnnl_memory_desc_t plain_weights = described(2, weights, onednn_float32, dnnl_ba);
    dnnl_memory_desc_t bias_memory = described(2, bias, onednn_float32, dnnl_ab);
    dnnl_memory_desc_t destination_memory = described(2, destination, shape->types.result, dnnl_ab);
    dnnl_matmul_desc_t description;
    RETURN_IF_FAILED(dnnl_matmul_desc_init(&description, &source_memory, &weights_memory,
                                           shape->epilogue.has_bias ? &bias_memory : NULL, &destination_memory));
    return compile(&description, NULL, &forward_operands, &shape->epilogue, &plain_weights, operation);
}

int onednn_batched_product_create(const onednn_batched_product *shape, onednn_operation **operation) {
    const dnnl_dims_t left = {shape->batches[0], shape->batches[1], shape->rows, shape->inner};
    const dnnl_dims_t right = {shape->batches[0], shape->batches[1], shape->inner, shape->columns};
    const dnnl_dims_t result = {shape->batches[0], shape->batches[1], shape->rows, shape->columns};

    dnnl_memory_desc_t left_memory, right_memory, result_memory;
    const dnnl_data_type_t factor_type = data_type(shape->types.factors), result_type = data_type(shape->types.result);
    RETURN_IF_FAILED(dnnl_memory_desc_init_by_strides(&left_memory, 4, left, factor_type, shape->left_strides));
    RETURN_IF_FAILED(dnnl_memory_desc_init_by_strides(&right_memory, 4, right, factor_type, shape->right_strides));
    RETURN_IF_FAILED(dnnl_memory_desc_init_by_strides(&result_memory, 4, result, result_type, shape->result_strides));
    dnnl_matmul_desc_t description;
    RETURN_IF_FAILED(dnnl_matmul_desc_init(&description, &left_memory, &right_memory, NULL, &result_memory));
    const onednn_epilogue epilogue = {.adds_destination = shape->adds_destination};
    // Few rows of long columns, as in the gradient of a layer's weights: "gemm:jit" of oneDNN 2.6.3 reaches 230 GFLOP/s a core on
    // AVX-512 where its first choice, "brg:avx512_core", reaches 200. Threads may share its sums, whose last bits then depend on how
    // many there are.
    const int is_long = shape->left_strides[2] == 1 && shape->inner >= 4096 && shape->rows <= 512;
    return compile_as(is_long ? "gemm:jit" : NULL, &description, NULL, &forward_operands, &epilogue, &right_memory, operation);
}

void onednn_operation_destroy(onednn_operation *operation) {
    if (!operation) return;
    if (operation->primitive) dnnl_primitive_destroy(operation->primitive);
    if (operation->descriptor) dnnl_primitive_desc_destroy(operation->descriptor);
    free(operation);
}

static const dnnl_memory_desc_t *memory_of(const onednn_operation *operation, dnnl_query_t which) {
    return dnnl_primitive_desc_query_md(operation->descriptor, which, 0);
}

size_t onednn_packed_weights_size(const onednn_operation *operation) {
    return dnnl_memory_desc_get_size(memory_of(operation, operation->operands->weights.memory));
}

size_t onednn_result_size(const onednn_operation *operation) {
    return dnnl_memory_desc_get_size(memory_of(operation, operation->operands->destination.memory));
}

size_t onednn_scratchpad_size(const onednn_operation *operation) {
    return dnnl_memory_desc_get_size(memory_of(operation, dnnl_query_scratchpad_md));
}

int onednn_packs_weights_alike(const onednn_operation *left, const onednn_operation *right) {
    return dnnl_memory_desc_equal(memory_of(left, dnnl_query_weights_md), memory_of(right, dnnl_query_weights_md));
}

/// Copies between two orders of the same elements.
static dnnl_status_t reorder(const dnnl_memory_desc_t *from, const void *source, const dnnl_memory_desc_t *to, void *target) {
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
    return reorder(&operation->plain_weights, plain, memory_of(operation, dnnl_query_weights_md), packed);
}

int onednn_unpack_weights(const onednn_operation *operation, const void *packed, float *plain) {
    return reorder(memory_of(operation, dnnl_query_weights_md), packed, &operation->plain_weights, plain);
}

int onednn_unpack_weights_gradient(const onednn_operation *operation, const void *packed, float *plain) {
    return reorder(memory_of(operation, dnnl_query_diff_weights_md), packed, &operation->plain_weights, plain);
}

int onednn_repack_weights(const onednn_operation *from, const void *packed, const onednn_operation *to, void *repacked) {
    return reorder(memory_of(from, dnnl_query_weights_md), packed, memory_of(to, dnnl_query_weights_md), repacked);
}

int onednn_execute(const onednn_operation *operation, const void *source, const void *weights, const float *bias,
                   void *destination, void *scratchpad) {
    dnnl_engine_t cpu;
    RETURN_IF_FAILED(engine(&cpu));
    const struct {
        operand operand;
        int index;
        void *data;
    } uses[] = {
        {operation->operands->source, 0, (void *)source},
        {operation->operands->weights, 0, (void *)weights},
        {operation->operands->destination, 0, destination},
        {{DNNL_ARG_SCRATCHPAD, dnnl_query_scratchpad_md}, 0, scratchpad},
        {{DNNL_ARG_BIAS, dnnl_query_weights_md}, 1, (void *)bias},
    };
    const int count = operation->has_bias ? 5 : 4;
    dnnl_exec_arg_t arguments[5];
    dnnl_stream_t stream = NULL;
    dnnl_status_t status = dnnl_stream_create(&stream, cpu, dnnl_stream_default_flags);
    int made = 0;
    for (; made < count && status == dnnl_success; made++) {
        const dnnl_memory_desc_t *memory =
            dnnl_primitive_desc_query_md(operation->descriptor, uses[made].operand.memory, uses[made].index);
        arguments[made].arg = uses[made].operand.argument;
        arguments[made].memory = NULL;
        status = dnnl_memory_create(&arguments[made].memory, memory, cpu, uses[made].data);
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
