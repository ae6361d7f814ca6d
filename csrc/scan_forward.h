// The recurrence forward, a tile of steps at a time.
#pragma once
#include <initializer_list>

#include "scan_block.h"
#include "scan_strike.h"

namespace faultsim {
namespace {

// The share of a group that is one task: so many blocks in turn that laying out B and C, which is
// done once for all of them, costs little, and so few that there are tasks for many threads.
template <class Real>
struct Chunk {
  static constexpr int64_t kMost = 8;

  static int64_t count(const ScanJob& job) { return (Block<Real>::count(job) + kMost - 1) / kMost; }

  Chunk(const ScanJob& job, int64_t task) {
    const int64_t all = Block<Real>::count(job), chunks = count(job), number = task % chunks;
    sample = task / chunks / job.groups;
    group = task / chunks % job.groups;
    first = number * all / chunks;
    blocks = (number + 1) * all / chunks - first;
  }

  int64_t sample, group, first, blocks;
};

template <class Real>
struct ForwardScratch {
  using Vec = V<Real>;

  ForwardScratch(const ScanJob& job, void* memory) {
    Carver carver(memory);
    for (Vec** tile : {&raw, &step, &u, &y}) *tile = carver.take<Vec>(kForwardTile);
    for (Vec** table : {&rate, &h}) *table = carver.take<Vec>(Chunk<Real>::kMost * job.state);
    for (Real** matrix : {&b, &c}) *matrix = carver.take<Real>(kForwardTile * job.state);
    used = carver.used();
  }

  int64_t used;
  Vec *raw, *step, *u, *y;  // (tile)
  Vec *rate, *h;            // (block, state)
  Real *b, *c;              // (tile, state)
};

// Reading out waits for the strikes of a step only where there are some in the tile.
template <class Real, bool near, bool faulty>
void forward_tile(const Block<Real>& block, int64_t from, int steps, const ForwardScratch<Real>& s,
                  const V<Real>* rate, V<Real>* h) {
  const int64_t states = block.job.state;
  for (int t = 0; t < steps; ++t) {
    const V<Real> step = s.step[t], driven = step * s.u[t];
    const Real *b = s.b + t * states, *c = s.c + t * states;
    V<Real> y = rounded<Real>(block.skip * s.u[t]);
    for (int64_t n = 0; n < states; ++n) {
      h[n] = decay_of<Real, near>(step * rate[n]) * h[n] + rounded<Real>(driven * b[n]);
      if constexpr (!faulty) y += h[n] * c[n];
    }
    if constexpr (faulty) {
      strike(block, from + t, h);
      for (int64_t n = 0; n < states; ++n) y += h[n] * c[n];
    }
    s.y[t] = y;
  }
}

template <class Real>
void forward_block(const Block<Real>& block, int64_t from, int steps, Real most_rate,
                   const ForwardScratch<Real>& s, const V<Real>* rate, V<Real>* h) {
  block.load(block.job.u, from, steps, s.u);
  const bool near = block.load_steps(from, steps, most_rate, s.raw, s.step);
  const auto run =
      any_strikes(block, from, steps)
          ? (near ? forward_tile<Real, true, true> : forward_tile<Real, false, true>)
          : (near ? forward_tile<Real, true, false> : forward_tile<Real, false, false>);
  run(block, from, steps, s, rate, h);
  block.store(s.y, from, steps, block.job.y);
}

template <class Real>
void forward(const ScanJob& job, int64_t task, void* scratch) {
  const Chunk<Real> chunk(job, task);
  const ForwardScratch<Real> s(job, scratch);
  const int64_t states = job.state;
  auto block_of = [&](int64_t k) {
    return Block<Real>(job, chunk.sample, chunk.group, chunk.first + k);
  };
  Real most_rate = 0;
  for (int64_t k = 0; k < chunk.blocks; ++k)
    most_rate = larger(most_rate, block_of(k).load_rates(s.rate + k * states));
  for (int64_t i = 0; i < chunk.blocks * states; ++i) s.h[i] = V<Real>{};
  for (int64_t from = 0; from < job.length; from += kForwardTile) {
    const int steps = tile_steps(job, from, kForwardTile);
    block_of(0).load_matrices(from, steps, s.b, s.c);
    for (int64_t k = 0; k < chunk.blocks; ++k)
      forward_block(block_of(k), from, steps, most_rate, s, s.rate + k * states, s.h + k * states);
  }
}

template <class Real>
int64_t forward_tasks(const ScanJob& job) {
  return job.batch * job.groups * Chunk<Real>::count(job);
}

template <class Real>
int64_t forward_scratch(const ScanJob& job) {
  return ForwardScratch<Real>(job, nullptr).used;
}

}  // namespace
}  // namespace faultsim
