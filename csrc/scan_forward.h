// The recurrence forward, a tile of steps at a time.
#pragma once
#include "scan_block.h"

namespace faultsim {
namespace {

template <class Real>
struct ForwardScratch {
  V<Real> raw[kScanTile], step[kScanTile], u[kScanTile], y[kScanTile];
  // then rates and hidden states, `state` vectors each, and B and C
  V<Real>* rates() { return reinterpret_cast<V<Real>*>(this + 1); }
  Real* b(int64_t states) { return reinterpret_cast<Real*>(rates() + 2 * states); }
  Real* c(int64_t states) { return b(states) + kScanTile * states; }
};

template <class Real>
void strike_state(const Block<Real>& block, int64_t t, V<Real>* h) {
  using Word = typename Numbers<Real>::Integer;
  const ScanJob& job = block.job;
  for (int64_t i = 0; i < job.n_faults; ++i) {
    const StateFault& fault = job.faults[i];
    const int64_t lane = fault.channel - block.channel;
    if (fault.step != t || lane < 0 || lane >= block.lanes) continue;
    if (fault.batch >= 0 && fault.batch != block.sample) continue;
    I<Real> words = (I<Real>)h[fault.state];
    words[lane] =
        static_cast<Word>((static_cast<uint64_t>(words[lane]) & fault.keep) ^ fault.toggle);
    h[fault.state] = (V<Real>)words;
  }
}

// Reading out waits for the strikes of a step only where there may be some.
template <class Real, bool near, bool faulty>
void forward_tile(const Block<Real>& block, int64_t from, int steps, ForwardScratch<Real>& tile,
                  const V<Real>* rate, V<Real>* h) {
  const int64_t states = block.job.state;
  for (int t = 0; t < steps; ++t) {
    const V<Real> step = tile.step[t], driven = step * tile.u[t];
    const Real *b = tile.b(states) + t * states, *c = tile.c(states) + t * states;
    V<Real> y = block.skip * tile.u[t];
    for (int64_t n = 0; n < states; ++n) {
      h[n] = decay_of<Real, near>(step * rate[n]) * h[n] + driven * b[n];
      if constexpr (!faulty) y += h[n] * c[n];
    }
    if constexpr (faulty) {
      strike_state(block, from + t, h);
      for (int64_t n = 0; n < states; ++n) y += h[n] * c[n];
    }
    tile.y[t] = y;
  }
}

template <class Real>
void forward(const ScanJob& job, int64_t task, void* scratch) {
  const int64_t blocks = Block<Real>::count(job), pair = task / blocks;
  const Block<Real> block(job, pair / job.groups, pair % job.groups, task % blocks);
  auto& tile = *static_cast<ForwardScratch<Real>*>(scratch);
  V<Real>*rate = tile.rates(), *h = rate + job.state;
  const Real most_rate = block.load_rates(rate);
  for (int64_t n = 0; n < job.state; ++n) h[n] = V<Real>{};
  for (int64_t from = 0; from < job.length; from += kScanTile) {
    const int64_t left = job.length - from;
    const int steps = static_cast<int>(left < kScanTile ? left : kScanTile);
    block.load(job.u, from, steps, tile.u);
    block.load_matrix(block.b, from, steps, tile.b(job.state));
    block.load_matrix(block.c, from, steps, tile.c(job.state));
    const bool near = block.load_steps(from, steps, most_rate, tile.raw, tile.step);
    const auto run =
        job.n_faults ? (near ? forward_tile<Real, true, true> : forward_tile<Real, false, true>)
                     : (near ? forward_tile<Real, true, false> : forward_tile<Real, false, false>);
    run(block, from, steps, tile, rate, h);
    block.store(tile.y, from, steps, job.y);
  }
}

template <class Real>
int64_t forward_tasks(const ScanJob& job) {
  return job.batch * job.groups * Block<Real>::count(job);
}

template <class Real>
int64_t forward_scratch(const ScanJob& job) {
  const int64_t matrices = 2 * kScanTile * static_cast<int64_t>(sizeof(Real));
  return static_cast<int64_t>(sizeof(ForwardScratch<Real>)) +
         job.state * (2 * kVectorBytes + matrices);
}

}  // namespace
}  // namespace faultsim
