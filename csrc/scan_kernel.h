// The part of the scan that is compiled once for each instruction set.
#pragma once
#include "scan.h"

namespace faultsim {

// Steps that are laid out together: long enough for whole cache lines of a row to be read at once,
// and for the backward pass short enough for its tables to stay in the second-level cache.
constexpr int kForwardTile = 64;
constexpr int kBackwardTile = 32;

// A task is a share of the channels of one group and sample (forward), or all of them (backward).
// Scratch is aligned to 64 bytes.
struct ScanKernels {
  int64_t (*forward_tasks)(const ScanJob& job);
  int64_t (*forward_scratch)(const ScanJob& job);  // bytes
  void (*forward)(const ScanJob& job, int64_t task, void* scratch);
  int64_t (*backward_scratch)(const ScanJob& job);
  // dA, dD and dbias of `grads` are those of this sample alone.
  void (*backward)(const ScanJob& job, const ScanGrads& grads, int64_t task, void* scratch);
};

namespace baseline {
extern const ScanKernels scan_float, scan_double;
}
namespace avx2 {
extern const ScanKernels scan_float, scan_double;
}
namespace avx512 {
extern const ScanKernels scan_float, scan_double;
}

}  // namespace faultsim
