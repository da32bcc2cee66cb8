/// The OpenMP thread pool that oneDNN owns.
///
/// oneDNN's workers spin for a moment after each call; a second pool on the same cores would fight them, so our own loops run
/// on the same one. libgomp's entry points are declared here by hand because Swift cannot write `#pragma omp`.
#ifndef CKERNELS_THREAD_POOL_H
#define CKERNELS_THREAD_POOL_H

#if defined(__linux__)
#define CKERNELS_HAS_OPENMP 1

/// Runs `function(data)` on `thread_count` threads of the pool, the calling one among them, and waits for all.
void GOMP_parallel(void (*function)(void *data), void *data, unsigned thread_count, unsigned flags);

int omp_get_thread_num(void);
int omp_get_num_threads(void);
int omp_get_max_threads(void);
int omp_get_num_procs(void);
int omp_in_parallel(void);
void omp_set_num_threads(int count);
#endif

#endif
