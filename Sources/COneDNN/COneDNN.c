// oneDNN behind COneDNN.h: a compiled operation is a primitive with its memory descriptors. What the versions of oneDNN do in
// different ways is in Version.h.
#include <stdio.h>

#include "Operation.h"

/// Compiled primitives that oneDNN itself keeps, so that layers of one shape share their code. Its default of 1024 held about
/// 100 MB after 56 image sizes with a tiny model.
enum { kept_primitives = 128 };

static dnnl_engine_t shared_engine;
static dnnl_status_t engine_status;
static pthread_once_t engine_once = PTHREAD_ONCE_INIT;

static void create_engine(void) {
    engine_status = dnnl_engine_create(&shared_engine, dnnl_cpu, 0);
    if (engine_status == dnnl_success) engine_status = dnnl_set_primitive_cache_capacity(kept_primitives);
}

dnnl_status_t onednn_engine(dnnl_engine_t *result) {
    pthread_once(&engine_once, create_engine);
    *result = shared_engine;
    return engine_status;
}

pthread_mutex_t onednn_compiling = PTHREAD_MUTEX_INITIALIZER;

int onednn_multiplies_bfloat16(void) {
    // A set of instructions has the bits of all those that it extends; outside x86-64 there are no bits.
    return (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16;
}

int onednn_multiplies_int8(void) {
    const dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
    return (isa & dnnl_cpu_isa_avx512_core_vnni) == dnnl_cpu_isa_avx512_core_vnni;
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
