/// What the versions of oneDNN do in different ways: Version2.c and Version3.c, of which one is compiled.
#ifndef CONEDNN_VERSION_H
#define CONEDNN_VERSION_H

#if !__has_include(<oneapi/dnnl/dnnl.h>)
#error "oneDNN's headers are missing: apt-get install libdnnl-dev (Debian 12 and 13, Ubuntu 22.04 and 24.04 have it)"
#endif

#include <oneapi/dnnl/dnnl.h>

#if DNNL_VERSION_MAJOR == 2
/// How version 2 refers to a layout that somebody else owns.
typedef const dnnl_memory_desc_t *layout_reference;
/// Version 2 adds the bias before it multiplies by the scales; they are a part of the attributes.
enum { scales_are_arguments = 0 };
#elif DNNL_VERSION_MAJOR == 3
typedef const_dnnl_memory_desc_t layout_reference;
/// Version 3 multiplies the product by the scales, which come with every execution, and adds the bias then.
enum { scales_are_arguments = 1 };
#else
#error "this bridge speaks oneDNN 2.x and 3.x; the version found has other calls"
#endif

/// A tensor's sizes, type and order in memory. Zeros before it is made; whoever makes it releases it.
typedef struct {
    dnnl_memory_desc_t descriptor;
    int exists;
} layout;

/// Makes a layout; with `dnnl_format_tag_any` the operation chooses the order.
dnnl_status_t onednn_layout_make(layout *layout, int rank, const dnnl_dims_t sizes, dnnl_data_type_t type,
                                 dnnl_format_tag_t tag);
/// Makes a layout of elements so many places apart along each axis.
dnnl_status_t onednn_layout_make_strided(layout *layout, int rank, const dnnl_dims_t sizes, dnnl_data_type_t type,
                                         const dnnl_dims_t strides);
void onednn_layout_release(layout *layout);
/// NULL for one that does not exist.
layout_reference onednn_layout_refer(const layout *layout);

/// Adds the destination times a factor to the result; `dnnl_data_type_undef`: the destination's numbers are the result's.
dnnl_status_t onednn_append_sum(dnnl_post_ops_t post_operations, float scale, dnnl_data_type_t type);
/// Then takes max(0, x).
dnnl_status_t onednn_append_relu(dnnl_post_ops_t post_operations);
/// Multiplies each output channel by its scale.
///
/// - Parameter weights_axis: the weights' axis of output channels.
dnnl_status_t onednn_set_scales(dnnl_primitive_attr_t attributes, int weights_axis, int64_t count, const float *scales);

/// A convolution's tensors, or their gradients, and how its kernel walks.
typedef struct {
    layout source, weights, bias, destination;
    dnnl_dims_t strides, gaps, padding_start, padding_end;
} convolution_tensors;

typedef enum { convolution_forward, convolution_input_gradient, convolution_weights_gradient } convolution_kind;

/// - Parameter forward: the forward operation that a backward one goes with; null for a forward one.
dnnl_status_t onednn_describe_convolution(convolution_kind kind, dnnl_prop_kind_t propagation,
                                          const convolution_tensors *tensors, dnnl_engine_t engine,
                                          const_dnnl_primitive_attr_t attributes, const_dnnl_primitive_desc_t forward,
                                          dnnl_primitive_desc_t *result);

/// A matrix product's tensors; without a bias that layout does not exist.
typedef struct {
    layout left, right, bias, result;
} product_tensors;

/// - Parameter preferred: oneDNN's name of the implementation to take if it has that for the product; null for its own choice.
dnnl_status_t onednn_describe_product(const char *preferred, const product_tensors *tensors, dnnl_engine_t engine,
                                      const_dnnl_primitive_attr_t attributes, dnnl_primitive_desc_t *result);

#endif
