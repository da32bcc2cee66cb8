// oneDNN 2.x: descriptors of memory are plain structures, and an operation is described before it is chosen.
#include "Version.h"

#if DNNL_VERSION_MAJOR == 2

#include <string.h>

dnnl_status_t onednn_layout_make(layout *layout, int rank, const dnnl_dims_t sizes, dnnl_data_type_t type,
                                 dnnl_format_tag_t tag) {
    const dnnl_status_t status = dnnl_memory_desc_init_by_tag(&layout->descriptor, rank, sizes, type, tag);
    layout->exists = status == dnnl_success;
    return status;
}

dnnl_status_t onednn_layout_make_strided(layout *layout, int rank, const dnnl_dims_t sizes, dnnl_data_type_t type,
                                         const dnnl_dims_t strides) {
    const dnnl_status_t status = dnnl_memory_desc_init_by_strides(&layout->descriptor, rank, sizes, type, strides);
    layout->exists = status == dnnl_success;
    return status;
}

void onednn_layout_release(layout *layout) { layout->exists = 0; }

layout_reference onednn_layout_refer(const layout *layout) { return layout->exists ? &layout->descriptor : NULL; }

dnnl_status_t onednn_append_sum(dnnl_post_ops_t post_operations, float scale, dnnl_data_type_t type) {
    return dnnl_post_ops_append_sum_v2(post_operations, scale, type);
}

dnnl_status_t onednn_append_relu(dnnl_post_ops_t post_operations) {
    return dnnl_post_ops_append_eltwise(post_operations, 1.0f, dnnl_eltwise_relu, 0.0f, 0.0f);
}

dnnl_status_t onednn_set_scales(dnnl_primitive_attr_t attributes, int weights_axis, int64_t count, const float *scales) {
    (void)weights_axis;
    // Output channels are the second axis of every destination.
    return dnnl_primitive_attr_set_output_scales(attributes, count, 1 << 1, scales);
}

dnnl_status_t onednn_describe_convolution(convolution_kind kind, dnnl_prop_kind_t propagation,
                                          const convolution_tensors *tensors, dnnl_engine_t engine,
                                          const_dnnl_primitive_attr_t attributes, const_dnnl_primitive_desc_t forward,
                                          dnnl_primitive_desc_t *result) {
    const layout_reference source = onednn_layout_refer(&tensors->source), weights = onednn_layout_refer(&tensors->weights);
    const layout_reference bias = onednn_layout_refer(&tensors->bias), destination = onednn_layout_refer(&tensors->destination);
    dnnl_convolution_desc_t description;
    dnnl_status_t status = dnnl_invalid_arguments;
    switch (kind) {
    case convolution_forward:
        status = dnnl_dilated_convolution_forward_desc_init(
            &description, propagation, dnnl_convolution_direct, source, weights, bias, destination, tensors->strides,
            tensors->gaps, tensors->padding_start, tensors->padding_end);
        break;
    case convolution_input_gradient:
        status = dnnl_dilated_convolution_backward_data_desc_init(
            &description, dnnl_convolution_direct, source, weights, destination, tensors->strides, tensors->gaps,
            tensors->padding_start, tensors->padding_end);
        break;
    case convolution_weights_gradient:
        status = dnnl_dilated_convolution_backward_weights_desc_init(
            &description, dnnl_convolution_direct, source, weights, NULL, destination, tensors->strides, tensors->gaps,
            tensors->padding_start, tensors->padding_end);
        break;
    }
    if (status != dnnl_success) return status;
    return dnnl_primitive_desc_create(result, &description, attributes, engine, forward);
}

dnnl_status_t onednn_describe_product(const char *preferred, const product_tensors *tensors, dnnl_engine_t engine,
                                      const_dnnl_primitive_attr_t attributes, dnnl_primitive_desc_t *result) {
    dnnl_matmul_desc_t description;
    dnnl_status_t status =
        dnnl_matmul_desc_init(&description, onednn_layout_refer(&tensors->left), onednn_layout_refer(&tensors->right),
                              onednn_layout_refer(&tensors->bias), onednn_layout_refer(&tensors->result));
    if (status != dnnl_success) return status;
    if (preferred) {
        dnnl_primitive_desc_iterator_t candidates = NULL;
        status = dnnl_primitive_desc_iterator_create(&candidates, &description, attributes, engine, NULL);
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
    return dnnl_primitive_desc_create(result, &description, attributes, engine, NULL);
}

#endif
