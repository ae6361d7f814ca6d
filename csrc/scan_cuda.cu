#include "scan_launch.h"

namespace faultsim {

void scan_forward_cuda(const ScanJob& job, void* stream) {
  forward_blocks(
      job, [&](int64_t blocks, const auto& body) { run_blocks_on_device(blocks, stream, body); });
}

void scan_backward_cuda(const ScanJob& job, const ScanGrads& grads, void* scratch, void* stream) {
  backward_blocks(job, grads, scratch, [&](int64_t blocks, const auto& body) {
    run_blocks_on_device(blocks, stream, body);
  });
}

}  // namespace faultsim
