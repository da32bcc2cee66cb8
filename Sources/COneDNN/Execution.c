// What is done with operations once they are made: packing weights, running, and giving them up.
#include <stdlib.h>

#include "Operation.h"

void onednn_operation_destroy(onednn_operation *operation) {
    if (!operation) return;
    if (operation->primitive) dnnl_primitive_destroy(operation->primitive);
    if (operation->descriptor) dnnl_primitive_desc_destroy(operation->descriptor);
    onednn_layout_release(&operation->plain_weights);
    onednn_layout_release(&operation->scales_layout);
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
    RETURN_IF_FAILED(onednn_engine(&cpu));
    dnnl_primitive_desc_t descriptor = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_memory_t source_memory = NULL, target_memory = NULL;
    dnnl_stream_t stream = NULL;
    pthread_mutex_lock(&onednn_compiling);
    dnnl_status_t status = dnnl_reorder_primitive_desc_create(&descriptor, from, cpu, to, cpu, NULL);
    if (status == dnnl_success) status = dnnl_primitive_create(&primitive, descriptor);
    pthread_mutex_unlock(&onednn_compiling);
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
    return reorder(onednn_layout_refer(&operation->plain_weights), plain, memory_of(operation, dnnl_query_weights_md), packed);
}

int onednn_unpack_weights(const onednn_operation *operation, const void *packed, float *plain) {
    return reorder(memory_of(operation, dnnl_query_weights_md), packed, onednn_layout_refer(&operation->plain_weights), plain);
}

int onednn_unpack_weights_gradient(const onednn_operation *operation, const void *packed, float *plain) {
    return reorder(memory_of(operation, dnnl_query_diff_weights_md), packed, onednn_layout_refer(&operation->plain_weights), plain);
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
    RETURN_IF_FAILED(onednn_engine(&cpu));
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
        uses[count].layout = onednn_layout_refer(&operation->scales_layout);
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
