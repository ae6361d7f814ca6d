// The faults of a scan: where those of a step stand, and what one does to a word.
//
// In an anonymous namespace, because sources compiled for different instruction sets include it.
// Operators, whose arithmetic must not depend on those, are a call away.
#pragma once
#include "host_device.h"
#include "scan.h"
#ifdef __CUDA_ARCH__
#include "state_operators.h"
#endif

namespace faultsim {
namespace {

// The first fault at `step` or later; they are sorted by step.
FAULTSIM_HD inline const StateFault* first_at(const ScanJob& job, int64_t step) {
  int64_t low = 0, high = job.n_faults;
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (job.faults[middle].step < step)
      low = middle + 1;
    else
      high = middle;
  }
  return job.faults + low;
}

template <class Word>
FAULTSIM_HD inline Word struck(Word word, const StateFault& fault) {
  const auto kept = static_cast<uint64_t>(word) & fault.keep;
  if (fault.op == 0) return static_cast<Word>(kept ^ fault.toggle);
#ifdef __CUDA_ARCH__
  const uint64_t made = state_word(static_cast<uint64_t>(word), 8 * sizeof(Word), fault);
#else
  const uint64_t made = made_state(static_cast<uint64_t>(word), 8 * sizeof(Word), fault);
#endif
  return static_cast<Word>(kept | (made & ~fault.keep));
}

}  // namespace
}  // namespace faultsim
