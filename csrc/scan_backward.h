// The gradient of the scan. States are kept at the first step of each tile only; those in between
// are computed again.
#pragma once
#include "scan_block.h"

namespace faultsim {
namespace {

// What one group of one sample needs, in one piece of memory.
template <class Real>
struct BackwardScratch {
  using Vec = V<Real>;

  BackwardScratch(const ScanJob& job, void* memory)
      : states(job.state), tiles((job.length + kScanTile - 1) / kScanTile) {
    Vec* at = static_cast<Vec*>(memory);
    const int64_t blocks = Block<Real>::count(job), table = kScanTile * states;
    auto take = [&](int64_t vectors) { return (at += vectors) - vectors; };
    raw = take(kScanTile);
    step = take(kScanTile);
    u = take(kScanTile);
    dy = take(kScanTile);
    du = take(kScanTile);
    ddelta = take(kScanTile);
    decay = take(table);
    h = take(table + states);
    db = take(table);
    dc = take(table);
    rate = take(blocks * states);
    carry = take(blocks * states);
    da = take(blocks * states);
    dskip = take(blocks);
    dbias = take(blocks);
    start = take(blocks * tiles * states);
    b = reinterpret_cast<Real*>(take(kScanTile * states));  // more than enough for one lane
    c = b + kScanTile * states;
    used = (at - static_cast<Vec*>(memory)) * kVectorBytes;
  }

  Vec* start_of(int64_t block, int64_t tile) const {
    return start + (block * tiles + tile) * states;
  }

  int64_t states, tiles, used;
  Vec *raw, *step, *u, *dy, *du, *ddelta;  // (tile)
  Vec *decay, *h;                          // (tile, state); h has the state before the tile first
  Vec *db, *dc;                            // (state, tile), one lane for each channel
  Vec *rate, *carry, *da;                  // (block, state)
  Vec *dskip, *dbias;                      // (block)
  Vec* start;                              // (block, tile, state)
  Real *b, *c;                             // (tile, state)
};

// States and decays of a tile; h[0] is given.
template <class Real, bool near>
void states_of_tile(int steps, const BackwardScratch<Real>& s, const V<Real>* rate) {
  const int64_t states = s.states;
  for (int t = 0; t < steps; ++t) {
    const V<Real> step = s.step[t], driven = step * s.u[t];
    const Real* b = s.b + t * states;
    const V<Real>* before = s.h + t * states;
    for (int64_t n = 0; n < states; ++n) {
      const V<Real> decay = decay_of<Real, near>(step * rate[n]);
      s.decay[t * states + n] = decay;
      s.h[(t + 1) * states + n] = decay * before[n] + driven * b[n];
    }
  }
}

template <class Real>
void recompute(const Block<Real>& block, int64_t from, int steps, const BackwardScratch<Real>& s,
               const V<Real>* rate, Real most_rate) {
  block.load(block.job.u, from, steps, s.u);
  block.load_matrix(block.b, from, steps, s.b);
  const bool near = block.load_steps(from, steps, most_rate, s.raw, s.step);
  const auto run = near ? states_of_tile<Real, true> : states_of_tile<Real, false>;
  run(steps, s, rate);
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
      s.dc[n * kScanTile + t] += dy * after[n];
      s.db[n * kScanTile + t] += dh * driven;
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
      const V<Real> value = table[n * kScanTile + t];
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

template <class Real>
void backward(const ScanJob& job, const ScanGrads& grads, int64_t task, void* scratch) {
  const int64_t sample = task / job.groups, group = task % job.groups;
  const int64_t blocks = Block<Real>::count(job), states = job.state;
  const BackwardScratch<Real> s(job, scratch);
  Real most_rate = 0;
  for (int64_t k = 0; k < blocks; ++k) {
    const Block<Real> block(job, sample, group, k);
    V<Real>* rate = s.rate + k * states;
    most_rate = larger(most_rate, block.load_rates(rate));
    for (int64_t n = 0; n < states; ++n)
      s.h[n] = s.carry[k * states + n] = s.da[k * states + n] = V<Real>{};
    s.dskip[k] = s.dbias[k] = V<Real>{};
    for (int64_t tile = 0; tile < s.tiles; ++tile) {
      for (int64_t n = 0; n < states; ++n) s.start_of(k, tile)[n] = s.h[n];
      if (tile + 1 == s.tiles) break;
      recompute(block, tile * kScanTile, kScanTile, s, rate, most_rate);
      for (int64_t n = 0; n < states; ++n) s.h[n] = s.h[kScanTile * states + n];
    }
  }
  for (int64_t tile = s.tiles - 1; tile >= 0; --tile) {
    const int64_t from = tile * kScanTile, left = job.length - from;
    const int steps = static_cast<int>(left < kScanTile ? left : kScanTile);
    for (int64_t i = 0; i < states * kScanTile; ++i) s.db[i] = s.dc[i] = V<Real>{};
    for (int64_t k = 0; k < blocks; ++k) {
      const Block<Real> block(job, sample, group, k);
      for (int64_t n = 0; n < states; ++n) s.h[n] = s.start_of(k, tile)[n];
      recompute(block, from, steps, s, s.rate + k * states, most_rate);
      block.load_matrix(block.c, from, steps, s.c);
      block.load(grads.dy, from, steps, s.dy);
      gradients_of_tile(block, steps, s, k);
      block.store(s.du, from, steps, grads.du);
      block.store(s.ddelta, from, steps, grads.ddelta);
    }
    const int64_t at = task * states * job.length + from;
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
