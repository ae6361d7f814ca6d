// The faults of a scan: where those of a step stand, and what one does to a word.
//
// In an anonymous namespace, because sources compiled for different instruction sets include it.
#pragma once
#include "host_device.h"
#include "scan.h"

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
  return static_cast<Word>((static_cast<uint64_t>(word) & fault.keep) ^ fault.toggle);
}

}  // namespace
}  // namespace faultsim
