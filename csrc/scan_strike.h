// Faults in the hidden state of a block.
#pragma once
#include "scan_block.h"

namespace faultsim {
namespace {

template <class Real>
bool strikes(const Block<Real>& block, const StateFault& fault, int64_t from, int64_t steps) {
  return fault.step >= from && fault.step < from + steps && fault.channel >= block.channel &&
         fault.channel < block.channel + block.lanes &&
         (fault.batch < 0 || fault.batch == block.sample);
}

template <class Real>
bool any_strikes(const Block<Real>& block, int64_t from, int64_t steps) {
  for (int64_t i = 0; i < block.job.n_faults; ++i)
    if (strikes(block, block.job.faults[i], from, steps)) return true;
  return false;
}

// Strikes the state after step t; in the order of the faults.
template <class Real>
void strike(const Block<Real>& block, int64_t t, V<Real>* h) {
  using Word = typename Numbers<Real>::Integer;
  for (int64_t i = 0; i < block.job.n_faults; ++i) {
    const StateFault& fault = block.job.faults[i];
    if (!strikes(block, fault, t, 1)) continue;
    I<Real> words = (I<Real>)h[fault.state];
    Word word = words[fault.channel - block.channel];
    word = static_cast<Word>((static_cast<uint64_t>(word) & fault.keep) ^ fault.toggle);
    words[fault.channel - block.channel] = word;
    h[fault.state] = (V<Real>)words;
  }
}

}  // namespace
}  // namespace faultsim
