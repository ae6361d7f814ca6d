// The gradient of the scan. States are kept before each tile only; those in between are computed
// again, faults included, and the gradient passes a fault as if it added a constant.
#pragma once
#include <initializer_list>

#include "scan_block.h"
#include "scan_strike.h"

namespace faultsim {
namespace {

// What one group of one sample needs, in one piece of memory.
template <class Real>
struct BackwardScratch {
  using Vec = V<Real>;

  BackwardScratch(const ScanJob& job, void* memory)
      : states(job.state), tiles((job.length + kBackwardTile - 1) / kBackwardTile) {
    const int64_t blocks = Block<Real>::count(job), table = kBackwardTile * states;
    Carver carver(memory);
    for (Vec** row : {&raw, &step, &u, &dy, &du, &ddelta}) *row = carver.take<Vec>(kBackwardTile);
    for (Vec** matrix : {&decay, &db, &dc}) *matrix = carver.take<Vec>(table);
    h = carver.take<Vec>(table + states);
    for (Vec** column : {&rate, &carry, &da}) *column = carver.take<Vec>(blocks * states);
    for (Vec** value : {&dskip, &dbias}) *value = carver.take<Vec>(blocks);
    start = carver.take<Vec>(tiles * blocks * states);
    for (Real** matrix : {&b, &c}) *matrix = carver.take<Real>(table);
    used = carver.used();
  }

  Vec* start_of(int64_t tile, int64_t block, int64_t blocks) const {
    return start + (tile * blocks + block) * states;
  }

  int64_t states, tiles, used;
  Vec *raw, *step, *u, *dy, *du, *ddelta;  // (tile)
  Vec *decay, *h;                          // (tile, state); h has the state before the tile first
  Vec *db, *dc;                            // (tile, state), one lane for each channel
  Vec *rate, *carry, *da;                  // (block, state)
  Vec *dskip, *dbias;                      // (block)
  Vec* start;                              // (tile, block, state)
  Real *b, *c;                             // (tile, state)
};

// From the state before a tile to the one after it.
template <class Real, bool near, bool faulty>
void skip_tile(const Block<Real>& block, int64_t from, int steps, const BackwardScratch<Real>& s,
               const V<Real>* rate, const V<Real>* before, V<Real>* after) {
  const int64_t states = s.states;
  for (int64_t n = 0; n < states; ++n) after[n] = before[n];
  for (int t = 0; t < steps; ++t) {
    const V<Real> step = s.step[t], driven = step * s.u[t];
    const Real* b = s.b + t * states;
    for (int64_t n = 0; n < states; ++n)
      after[n] = decay_of<Real, near>(step * rate[n]) * after[n] + rounded<Real>(driven * b[n]);
    if constexpr (faulty) strike(block, from + t, after);
  }
}

// States and decays of a tile.
template <class Real, bool near, bool faulty>
void recall_tile(const Block<Real>& block, int64_t from, int steps, const BackwardScratch<Real>& s,
                 const V<Real>* rate, const V<Real>* before) {
  const int64_t states = s.states;
  for (int64_t n = 0; n < states; ++n) s.h[n] = before[n];
  for (int t = 0; t < steps; ++t) {
    const V<Real> step = s.step[t], driven = step * s.u[t];
    const Real* b = s.b + t * states;
    V<Real>*h = s.h + t * states, *next = h + states;
    for (int64_t n = 0; n < states; ++n) {
      const V<Real> decay = decay_of<Real, near>(step * rate[n]);
      s.decay[t * states + n] = decay;
      next[n] = decay * h[n] + rounded<Real>(driven * b[n]);
    }
    if constexpr (faulty) strike(block, from + t, next);
  }
}

// From dy to the gradients of a tile, steps in reverse; carry is decay * dh of the step after.
template <class Real>
void gradients_of_tile(const Block<Real>& block, int steps, const BackwardScratch<Real>& s,
                       int64_t number) {
  const int64_t states = s.states;
  V<Real>*rate = s.rate + number * states, *carry = s.carry + number * states;
  V<Real>* da = s.da + number * states;
  for (int t = steps - 1; t >= 0; --t) {
    const V<Real> step = s.step[t], u = s.u[t], dy = s.dy[t], driven = step * u;
    const V<Real>*before = s.h + t * states, *after = before + states;
    const V<Real>* decay = s.decay + t * states;
    const Real *b = s.b + t * states, *c = s.c + t * states;
    V<Real> ddriven{}, dexponent{};
    for (int64_t n = 0; n < states; ++n) {
      const V<Real> dh = carry[n] + dy * c[n];
      s.dc[t * states + n] += dy * after[n];
      s.db[t * states + n] += dh * driven;
      ddriven += dh * b[n];
      carry[n] = dh * decay[n];
      const V<Real> change = carry[n] * before[n];
      da[n] += change * step;
      dexponent += change * rate[n];
    }
    s.du[t] = dy * block.skip + ddriven * step;
    V<Real> dstep = dexponent * static_cast<Real>(kLn2) + ddriven * u;
    if (block.job.softplus) dstep = dstep * softplus_slope<Real>(s.raw[t]);
    s.ddelta[t] = dstep;
    s.dskip[number] += dy * u;
    s.dbias[number] += dstep;
  }
}

template <class Real>
void sum_lanes(const V<Real>* table, int64_t states, int steps, int64_t length, Real* out) {
  for (int64_t n = 0; n < states; ++n)
    for (int t = 0; t < steps; ++t) {
      const V<Real> value = table[t * states + n];
      Real sums[4] = {};
      for (int lane = 0; lane < Vector<Real>::lanes; ++lane) sums[lane % 4] += value[lane];
      out[n * length + t] = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    }
}

template <class Real>
void store_lanes(V<Real> value, int lanes, void* out, int64_t at, int64_t stride) {
  if (out == nullptr) return;
  for (int lane = 0; lane < lanes; ++lane)
    static_cast<Real*>(out)[at + lane * stride] = value[lane];
}

// Keeps the state before each tile.
template <class Real>
void keep_starts(const ScanJob& job, int64_t sample, int64_t group, Real most_rate,
                 const BackwardScratch<Real>& s) {
  const int64_t blocks = Block<Real>::count(job);
  if (s.tiles == 0) return;
  for (int64_t i = 0; i < blocks * s.states; ++i) s.start[i] = V<Real>{};
  for (int64_t tile = 0; tile + 1 < s.tiles; ++tile) {
    const int64_t from = tile * kBackwardTile;
    for (int64_t k = 0; k < blocks; ++k) {
      const Block<Real> block(job, sample, group, k);
      if (k == 0) block.load_matrices(from, kBackwardTile, s.b, nullptr);
      block.load(job.u, from, kBackwardTile, s.u);
      const bool near = block.load_steps(from, kBackwardTile, most_rate, s.raw, s.step);
      const auto run = any_strikes(block, from, kBackwardTile)
                           ? (near ? skip_tile<Real, true, true> : skip_tile<Real, false, true>)
                           : (near ? skip_tile<Real, true, false> : skip_tile<Real, false, false>);
      run(block, from, kBackwardTile, s, s.rate + k * s.states, s.start_of(tile, k, blocks),
          s.start_of(tile + 1, k, blocks));
    }
  }
}

template <class Real>
void backward_block(const Block<Real>& block, int64_t from, int steps, int64_t number,
                    Real most_rate, const BackwardScratch<Real>& s, const ScanGrads& grads) {
  const V<Real>* start = s.start_of(from / kBackwardTile, number, Block<Real>::count(block.job));
  block.load(block.job.u, from, steps, s.u);
  block.load(grads.dy, from, steps, s.dy);
  const bool near = block.load_steps(from, steps, most_rate, s.raw, s.step);
  const auto run = any_strikes(block, from, steps)
                       ? (near ? recall_tile<Real, true, true> : recall_tile<Real, false, true>)
                       : (near ? recall_tile<Real, true, false> : recall_tile<Real, false, false>);
  run(block, from, steps, s, s.rate + number * s.states, start);
  gradients_of_tile(block, steps, s, number);
  block.store(s.du, from, steps, grads.du);
  block.store(s.ddelta, from, steps, grads.ddelta);
}

template <class Real>
void backward(const ScanJob& job, const ScanGrads& grads, int64_t task, void* scratch) {
  const int64_t sample = task / job.groups, group = task % job.groups;
  const int64_t blocks = Block<Real>::count(job), states = job.state;
  const BackwardScratch<Real> s(job, scratch);
  Real most_rate = 0;
  for (int64_t k = 0; k < blocks; ++k) {
    const Block<Real> block(job, sample, group, k);
    most_rate = larger(most_rate, block.load_rates(s.rate + k * states));
    s.dskip[k] = s.dbias[k] = V<Real>{};
  }
  for (int64_t i = 0; i < blocks * states; ++i) s.carry[i] = s.da[i] = V<Real>{};
  keep_starts(job, sample, group, most_rate, s);
  for (int64_t tile = s.tiles - 1; tile >= 0; --tile) {
    const int64_t from = tile * kBackwardTile, at = task * states * job.length + from;
    const int steps = tile_steps(job, from, kBackwardTile);
    Block<Real>(job, sample, group, 0).load_matrices(from, steps, s.b, s.c);
    for (int64_t i = 0; i < states * kBackwardTile; ++i) s.db[i] = s.dc[i] = V<Real>{};
    for (int64_t k = 0; k < blocks; ++k)
      backward_block(Block<Real>(job, sample, group, k), from, steps, k, most_rate, s, grads);
    sum_lanes<Real>(s.db, states, steps, job.length, static_cast<Real*>(grads.dB) + at);
    sum_lanes<Real>(s.dc, states, steps, job.length, static_cast<Real*>(grads.dC) + at);
  }
  for (int64_t k = 0; k < blocks; ++k) {
    const Block<Real> block(job, sample, group, k);
    for (int64_t n = 0; n < states; ++n)
      store_lanes<Real>(s.da[k * states + n], block.lanes, grads.dA, block.channel * states + n,
                        states);
    store_lanes<Real>(s.dskip[k], block.lanes, grads.dD, block.channel, 1);
    store_lanes<Real>(s.dbias[k], block.lanes, grads.dbias, block.channel, 1);
  }
}

template <class Real>
int64_t backward_scratch(const ScanJob& job) {
  return BackwardScratch<Real>(job, nullptr).used;
}

}  // namespace
}  // namespace faultsim
