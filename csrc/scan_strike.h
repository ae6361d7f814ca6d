// Faults in the hidden state of a block.
#pragma once
#include "scan_block.h"

namespace faultsim {
namespace {

// The first fault at `step` or later; they are sorted by step.
inline const StateFault* first_at(const ScanJob& job, int64_t step) {
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

template <class Real>
bool is_in(const Block<Real>& block, const StateFault& fault) {
  return fault.channel >= block.channel && fault.channel < block.channel + block.lanes &&
         (fault.batch < 0 || fault.batch == block.sample);
}

template <class Real>
bool any_strikes(const Block<Real>& block, int64_t from, int64_t steps) {
  const StateFault* end = first_at(block.job, from + steps);
  for (const StateFault* fault = first_at(block.job, from); fault != end; ++fault)
    if (is_in(block, *fault)) return true;
  return false;
}

// Strikes the state after step t; in the order of the faults.
template <class Real>
void strike(const Block<Real>& block, int64_t t, V<Real>* h) {
  using Word = typename Numbers<Real>::Integer;
  const StateFault* end = first_at(block.job, t + 1);
  for (const StateFault* fault = first_at(block.job, t); fault != end; ++fault) {
    if (!is_in(block, *fault)) continue;
    I<Real> words = (I<Real>)h[fault->state];
    Word word = words[fault->channel - block.channel];
    word = static_cast<Word>((static_cast<uint64_t>(word) & fault->keep) ^ fault->toggle);
    words[fault->channel - block.channel] = word;
    h[fault->state] = (V<Real>)words;
  }
}

}  // namespace
}  // namespace faultsim
