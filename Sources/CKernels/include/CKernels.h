/// Inner loops that pick the processor's best instruction set at run time, and the door to the thread pool they run on.
///
/// Everything here works on plain pointers whose sizes the Swift caller has checked.
#ifndef CKERNELS_H
#define CKERNELS_H

#include "ThreadPool.h"

#endif
