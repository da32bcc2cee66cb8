/// Inner loops that pick the processor's best instruction set at run time, and the door to the thread pool they run on.
///
/// Everything here works on plain pointers whose sizes the Swift caller has checked. Each function handles a range of
/// independent rows, so that the caller can split the work among threads; results do not depend on the split.
#ifndef CKERNELS_H
#define CKERNELS_H

#include "BFloat16.h"
#include "Colors.h"
#include "DeformableSampling.h"
#include "DepthwiseConvolution.h"
#include "FocalLoss.h"
#include "GridSampling.h"
#include "Maps.h"
#include "Optimizer.h"
#include "PositionBias.h"
#include "Rows.h"
#include "WholeNumbers.h"
#include "ThreadPool.h"

#endif
