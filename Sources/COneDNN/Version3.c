// oneDNN 3.x: descriptors of memory are objects, and an operation is described and chosen at once.
#include "Version.h"

#if DNNL_VERSION_MAJOR == 3

#include <string.h>

dnnl_status_t onednn_layout_make(layout *layout, int rank, const dnnl_dims_t sizes, dnnl_data_type_t type,
                                 dnnl_format_tag_t tag) {
    const dnnl_status_t status = dnnl_memory_desc_create_with_tag(&layout->descriptor, rank, sizes, type, tag);
    layout->exists = status == dnnl_success;
    return status;
}

dnnl_status_t onednn_layout_make_strided(layout *layout, int rank, const dnnl_dims_t sizes, dnnl_data_type_t type,
                                         const dnnl_dims_t strides) {
    const dnnl_status_t status = dnnl_memory_desc_create_with_strides(&layout->descriptor, rank, sizes, type, strides);
    layout->exists = status == dnnl_success;
    return status;
}

void onednn_layout_release(layout *layout) {
    if (layout->exists) dnnl_memory_desc_destroy(layout->descriptor);
    layout->exists = 0;
}

layout_reference onednn_layout_refer(const layout *layout) { return layout->exists ? layout->descriptor : NULL; }

dnnl_status_t onednn_append_sum(dnnl_post_ops_t post_operations, float scale, dnnl_data_type_t type) {
    return dnnl_post_ops_append_sum(post_operations, scale, 0, type);
}

dnnl_status_t onednn_append_relu(dnnl_post_ops_t post_operations) {
    return dnnl_post_ops_append_eltwise(post_operations, dnnl_eltwise_relu, 0.0f, 0.0f);
}

dnnl_status_t onednn_set_scales(dnnl_primitive_attr_t attributes, int weights_axis, int64_t count, const float *scales) {
    (void)count;
    (void)scales;
    return dnnl_primitive_attr_set_scales_mask(attributes, DNNL_ARG_WEIGHTS, 1 << weights_axis);
}

dnnl_status_t onednn_describe_convolution(convolution_kind kind, dnnl_prop_kind_t propagation,
                                          const convolution_tensors *tensors, dnnl_engine_t engine,
                                          const_dnnl_primitive_attr_t attributes, const_dnnl_primitive_desc_t forward,
                                          dnnl_primitive_desc_t *result) {
    const layout_reference source = onednn_layout_refer(&tensors->source), weights = onednn_layout_refer(&tensors->weights);
    const layout_reference bias = onednn_layout_refer(&tensors->bias), destination = onednn_layout_refer(&tensors->destination);
    switch (kind) {
    case convolution_forward:
        return dnnl_convolution_forward_primitive_desc_create(
            result, engine, propagation, dnnl_convolution_direct, source, weights, bias, destination, tensors->strides,
            tensors->gaps, tensors->padding_start, tensors->padding_end, attributes);
    case convolution_input_gradient:
        return dnnl_convolution_backward_data_primitive_desc_create(
            result, engine, dnnl_convolution_direct, source, weights, destination, tensors->strides, tensors->gaps,
            tensors->padding_start, tensors->padding_end, forward, attributes);
    case convolution_weights_gradient:
        return dnnl_convolution_backward_weights_primitive_desc_create(
            result, engine, dnnl_convolution_direct, source, weights, NULL, destination, tensors->strides, tensors->gaps,
            tensors->padding_start, tensors->padding_end, forward, attributes);
    }
    return dnnl_invalid_arguments;
}

dnnl_status_t onednn_describe_product(const char *preferred, const product_tensors *tensors, dnnl_engine_t engine,
                                      const_dnnl_primitive_attr_t attributes, dnnl_primitive_desc_t *result) {
    const layout_reference left = onednn_layout_refer(&tensors->left), right = onednn_layout_refer(&tensors->right);
    const layout_reference bias = onednn_layout_refer(&tensors->bias), destination = onednn_layout_refer(&tensors->result);
    dnnl_status_t status = dnnl_matmul_primitive_desc_create(result, engine, left, right, bias, destination, attributes);
    if (!preferred || status != dnnl_success) return status;
    do {
        const char *name = NULL;
        if (dnnl_primitive_desc_query(*result, dnnl_query_impl_info_str, 0, &name) == dnnl_success &&
            strcmp(name, preferred) == 0)
            return dnnl_success;
        status = dnnl_primitive_desc_next_impl(*result);
    } while (status == dnnl_success);
    // There is no such implementation: back to the first.
    dnnl_primitive_desc_destroy(*result);
    *result = NULL;
    return dnnl_matmul_primitive_desc_create(result, engine, left, right, bias, destination, attributes);
}

#endif
