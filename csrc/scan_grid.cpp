#include "scan_grid.h"

#include "float_mode.h"
#include "scan_launch.h"

namespace faultsim {

int64_t scan_scratch_bytes(const ScanJob& job) {
  int64_t bytes = 0;
  with_layout(job,
              [&](auto layout) { bytes = BackwardScratch<decltype(layout)>(job, nullptr).bytes; });
  return bytes;
}

void scan_forward_grid(const ScanJob& job, bool reversed) {
  const FloatMode mode;
  forward_blocks(
      job, [&](int64_t blocks, const auto& body) { run_blocks_on_host(blocks, reversed, body); });
}

void scan_backward_grid(const ScanJob& job, const ScanGrads& grads, void* scratch, bool reversed) {
  const FloatMode mode;
  backward_blocks(job, grads, scratch, [&](int64_t blocks, const auto& body) {
    run_blocks_on_host(blocks, reversed, body);
  });
}

}  // namespace faultsim
