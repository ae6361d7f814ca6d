// The scan for many blocks of threads: on a CUDA device, and on the host as its tests see it.
#pragma once
#include <utility>

#include "scan.h"

namespace faultsim {

constexpr int64_t kMostStates = 64;

// What the gradients need besides their results, in bytes.
int64_t scan_scratch_bytes(const ScanJob& job);

// Blocks and their threads in turn, last first if `reversed`.
void scan_forward_grid(const ScanJob& job, bool reversed);
void scan_backward_grid(const ScanJob& job, const ScanGrads& grads, void* scratch, bool reversed);

// Where built with CUDA. Device pointers, faults included. Asynchronous on `stream`; neither
// allocates nor copies.
void scan_forward_cuda(const ScanJob& job, void* stream);
void scan_backward_cuda(const ScanJob& job, const ScanGrads& grads, void* scratch, void* stream);

}  // namespace faultsim
