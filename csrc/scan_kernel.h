// The part of the scan that is compiled once for each instruction set.
#pragma once
#include "scan.h"

namespace faultsim {

constexpr int kScanTile = 16;  // steps that are laid out together

// A task is one vector of channels of one group and sample (forward), or one group and sample
// (backward). Scratch is aligned to 64 bytes.
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
