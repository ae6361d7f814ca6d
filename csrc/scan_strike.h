// Faults in the hidden state of a block.
#pragma once
#include "scan_block.h"
#include "scan_faults.h"

namespace faultsim {
namespace {

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
    const int64_t lane = fault->channel - block.channel;
    words[lane] = struck<Word>(words[lane], *fault);
    h[fault->state] = (V<Real>)words;
  }
}

}  // namespace
}  // namespace faultsim
