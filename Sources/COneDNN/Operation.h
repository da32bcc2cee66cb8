/// A compiled operation, and what its makers (Creation.c) and users (Execution.c) share.
#ifndef CONEDNN_OPERATION_H
#define CONEDNN_OPERATION_H

#include <pthread.h>

#include "COneDNN.h"
#include "Version.h"

/// One of an operation's tensors: the argument that oneDNN knows it as, and how to ask for its order in memory.
typedef struct {
    int argument;
    dnnl_query_t memory;
} operand;

/// What the two operands and the result of onednn_execute are to oneDNN.
typedef struct {
    operand source, weights, destination;
} operands;

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

/// The processor as oneDNN's engine, which all operations share.
dnnl_status_t onednn_engine(dnnl_engine_t *result);

/// Held while operations are chosen and their code is made. When two threads do that at once, oneDNN 2.6.3 now and then makes
/// wrong code without an error: of convolutions in float32 and bfloat16 compiled side by side, some then had outputs of 1e9, in
/// 18 of 36 runs of LayersTests or its suites of convolutions. With this lock: in none of 36.
extern pthread_mutex_t onednn_compiling;

#define RETURN_IF_FAILED(call)                                                                                              \
    do {                                                                                                                    \
        dnnl_status_t status_ = (call);                                                                                     \
        if (status_ != dnnl_success) return status_;                                                                        \
    } while (0)

#endif
