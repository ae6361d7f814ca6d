// The gradient of the scan, as one block of threads computes it, and the sums over blocks.
//
// States are kept before each tile only; those in between are computed again, faults included, and
// the gradient passes a fault as if it added a constant. What blocks must add up they leave in
// scratch, where it is added in the order of blocks: no result depends on who came first.
#pragma once
#include "scan_lanes.h"

namespace faultsim {
namespace {

// Cut off one piece of memory; without any, only its size is counted.
template <class L>
struct BackwardScratch {
  using Real = typename L::Real;

  BackwardScratch(const ScanJob& job, void* memory) : memory_(static_cast<char*>(memory)) {
    const int64_t blocks = Share<L>::count(job);
    tiles = (job.length + L::backward_tile - 1) / L::backward_tile;
    start = take<Pair<Real>>(blocks * tiles * kScanThreads);
    dB = take<Real>(blocks * job.state * job.length);
    dC = take<Real>(blocks * job.state * job.length);
    dA = take<Real>(job.batch * job.dim * job.state);
    dD = take<Real>(job.batch * job.dim);
    dbias = take<Real>(job.batch * job.dim);
  }

  int64_t tiles, bytes = 0;
  Pair<Real>* start;  // (block, tile, thread): the states before a tile
  Real *dB, *dC;      // (block, state, length)
  Real* dA;           // (batch, dim, state)
  Real *dD, *dbias;   // (batch, dim)

 private:
  template <class Element>
  Element* take(int64_t n) {
    char* at = memory_ == nullptr ? nullptr : memory_ + bytes;
    bytes += n * static_cast<int64_t>(sizeof(Element));
    return reinterpret_cast<Element*>(at);
  }

  char* memory_;
};

// What a thread adds up along the length, and the gradient that it carries back.
template <class Real>
struct Sums {
  Pair<Real> carry, dA;  // carry is decay * dh of the step after
  Real dD, dbias;
};

template <class L>
struct BackwardScan {
  using Real = typename L::Real;
  static constexpr int threads = kScanThreads, tile = L::backward_tile;

  struct Shared : Tile<L, tile> {
    Real dy[tile][L::channels + 1];
    Pair<Real> h[tile + 1][kScanThreads + 1];  // the states before the tile first
    Pair<Real> decay[tile][kScanThreads + 1];
  };

  ScanJob job;
  ScanGrads grads;
  BackwardScratch<L> scratch;

  FAULTSIM_HD void operator()(const ScanBlock& block, Shared& shared, int64_t number) const {
    const Share<L> share(job, number);
    PerScanThread<Lane<Real>> lanes;
    PerScanThread<Sums<Real>> sums;
    block.each([&](int thread) { lanes[thread] = first_lane<L>(job, share, thread); });
    keep_starts(block, share, lanes, shared);
    for (int64_t i = scratch.tiles - 1; i >= 0; --i) {
      const Steps steps(job, i * tile, tile);
      recall_tile(block, share, steps, lanes, shared);
      block.each([&](int thread) {
        sum_channels(share, steps, thread, scratch.dC, [&](Real sum, int t, int channel, int n) {
          const int at = channel * L::lanes + n / kHeld;
          return fused(shared.dy[t][channel], shared.h[t + 1][at][n % kHeld], sum);
        });
      });
      block.each(
          [&](int thread) { go_back(share, steps, thread, lanes[thread], sums[thread], shared); });
      block.each([&](int thread) {
        sum_channels(share, steps, thread, scratch.dB, [&](Real sum, int t, int channel, int n) {
          const int at = channel * L::lanes + n / kHeld;
          return fused(shared.step[t][channel][1], shared.decay[t][at][n % kHeld], sum);
        });
        store_rows(share, steps, thread, sums[thread], shared);
      });
    }
    store_sums(block, share, lanes, sums, shared);
  }

 private:
  FAULTSIM_HD Pair<Real>& start_of(const Share<L>& share, int64_t number, int thread) const {
    return scratch.start[(share.number * scratch.tiles + number) * kScanThreads + thread];
  }

  // Keeps the states before each tile.
  FAULTSIM_HD void keep_starts(const ScanBlock& block, const Share<L>& share,
                               PerScanThread<Lane<Real>>& lanes, Shared& shared) const {
    for (int64_t i = 0; i < scratch.tiles; ++i) {
      block.each([&](int thread) { start_of(share, i, thread) = lanes[thread].h; });
      if (i + 1 == scratch.tiles) return;
      const Steps steps(job, i * tile, tile);
      const bool special = load_tile(block, job, share, steps, lanes, shared, nullptr, [](int) {});
      pass_tile(block, job, share, steps, special, lanes, shared,
                [](int, int, const Pair<Real>&, const Pair<Real>&) {});
    }
  }

  // States and decays of a tile.
  FAULTSIM_HD void recall_tile(const ScanBlock& block, const Share<L>& share, const Steps& steps,
                               PerScanThread<Lane<Real>>& lanes, Shared& shared) const {
    const bool special = load_tile(block, job, share, steps, lanes, shared, job.C, [&](int thread) {
      RowPart<L, tile> dy;
      dy.fetch_from(job, share, steps, thread, grads.dy);
      lanes[thread].h = shared.h[0][thread] = start_of(share, steps.from / tile, thread);
      dy.each(share, steps, thread,
              [&](int channel, int t, int j) { shared.dy[t][channel] = dy.values[j]; });
    });
    pass_tile(block, job, share, steps, special, lanes, shared,
              [&](int thread, int t, const Pair<Real>& decay, const Pair<Real>& h) {
                shared.decay[t][thread] = decay;
                shared.h[t + 1][thread] = h;
              });
  }

  // Sums over the channels of the block, for every state and step.
  template <class Add>
  FAULTSIM_HD void sum_channels(const Share<L>& share, const Steps& steps, int thread, Real* out,
                                const Add& add) const {
    for (int i = thread; i < job.state * tile; i += kScanThreads) {
      const int n = i / tile, t = i % tile;
      if (t >= steps.count) continue;
      Real sum = 0;
      for (int channel = 0; channel < share.channels; ++channel) sum = add(sum, t, channel, n);
      out[(share.number * job.state + n) * job.length + steps.from + t] = sum;
    }
  }

  // Steps in reverse. The places of decays become those of dh, and the states after a step, which
  // nothing needs any more, those of the sums over the states of a lane: of dh * B, and of the
  // gradient of the exponent.
  FAULTSIM_HD void go_back(const Share<L>& share, const Steps& steps, int thread,
                           const Lane<Real>& lane, Sums<Real>& sums, Shared& shared) const {
    const int channel = L::channel(thread);
    if (channel >= share.channels) return;
    for (int t = steps.count - 1; t >= 0; --t) {
      const Real step = shared.step[t][channel][0], dy = shared.dy[t][channel];
      const Pair<Real> b = shared.b[t][L::lane(thread)], c = shared.c[t][L::lane(thread)];
      const Pair<Real> before = shared.h[t][thread], decay = shared.decay[t][thread];
      Pair<Real> dh, part{};
      for (int k = 0; k < kHeld; ++k) {
        dh[k] = fused(dy, c[k], sums.carry[k]);
        sums.carry[k] = dh[k] * decay[k];
        const Real change = sums.carry[k] * before[k];
        sums.dA[k] = fused(change, step, sums.dA[k]);
        if (k >= lane.states) continue;
        part[0] = fused(dh[k], b[k], part[0]);
        part[1] = fused(change, lane.rate[k], part[1]);
      }
      shared.decay[t][thread] = dh;
      shared.h[t + 1][thread] = part;
    }
  }

  // The gradients of u and delta.
  FAULTSIM_HD void store_rows(const Share<L>& share, const Steps& steps, int thread,
                              Sums<Real>& sums, const Shared& shared) const {
    each_step<L>(share, steps, thread, [&](int channel, int t) {
      auto sum = [&](int k) {
        return tree_sum<L::lanes, Real>(
            [&](int lane) { return shared.h[t + 1][channel * L::lanes + lane][k]; });
      };
      const int64_t at = share.row(job, channel) + steps.from + t;
      const Real ddriven = sum(0), u = shared.u[t][channel], dy = shared.dy[t][channel];
      Real du = ddriven * shared.step[t][channel][0];
      if (job.D != nullptr) du = fused(dy, of_channel<Real>(job.D, share.first + channel), du);
      Real dstep = fused(sum(1), static_cast<Real>(kLn2), ddriven * u);
      if (job.softplus) dstep *= softplus_slope(raw_step<L>(job, share, channel, steps.from + t));
      store(job.is_narrow, du, grads.du, at);
      store(job.is_narrow, dstep, grads.ddelta, at);
      sums.dD = fused(dy, u, sums.dD);
      sums.dbias += dstep;
    });
  }

  // What was added up along the length, for this sample.
  FAULTSIM_HD void store_sums(const ScanBlock& block, const Share<L>& share,
                              PerScanThread<Lane<Real>>& lanes, PerScanThread<Sums<Real>>& sums,
                              Shared& shared) const {
    const int64_t first = share.sample * job.dim + share.first;
    block.each([&](int thread) {
      shared.h[0][thread] = {sums[thread].dD, sums[thread].dbias};
      const int64_t at = (first + L::channel(thread)) * job.state + L::lane(thread) * kHeld;
      for (int k = 0; k < kHeld; ++k)
        if (k < lanes[thread].states) scratch.dA[at + k] = sums[thread].dA[k];
    });
    block.each([&](int thread) {
      if (thread >= share.channels) return;
      auto sum = [&](int k) {
        return tree_sum<L::lanes, Real>(
            [&](int lane) { return shared.h[0][thread * L::lanes + lane][k]; });
      };
      scratch.dD[first + thread] = sum(0);
      scratch.dbias[first + thread] = sum(1);
    });
  }
};

// Adds up `count` arrays of `inner` numbers, for each of `outer` results; nothing if out is null.
struct PartSum {
  const void* parts;
  void* out;
  bool is_narrow;
  int64_t outer, count, inner;

  FAULTSIM_HD uint32_t blocks_of_each() const {
    return static_cast<uint32_t>((inner + kScanThreads - 1) / kScanThreads);
  }

  FAULTSIM_HD int64_t blocks() const { return out == nullptr ? 0 : outer * blocks_of_each(); }
};

// One number a thread; the first blocks are those of the first sum.
template <class Real>
struct SumParts {
  static constexpr int threads = kScanThreads, n_sums = 5;
  struct Shared {};

  int64_t blocks() const {
    int64_t all = 0;
    for (const PartSum& sum : sums) all += sum.blocks();
    return all;
  }

  FAULTSIM_HD void operator()(const ScanBlock& block, Shared&, int64_t number) const {
    for (const PartSum& sum : sums) {
      if (number < sum.blocks()) return add(block, sum, static_cast<uint32_t>(number));
      number -= sum.blocks();
    }
  }

  FAULTSIM_HD void add(const ScanBlock& block, const PartSum& sum, uint32_t number) const {
    const uint32_t outer = number / sum.blocks_of_each(), inner = number % sum.blocks_of_each();
    block.each([&](int thread) {
      const int64_t i = int64_t{inner} * threads + thread;
      if (i >= sum.inner) return;
      const Real* part = static_cast<const Real*>(sum.parts) + outer * sum.count * sum.inner + i;
      Real total = 0;
      for (int64_t k = 0; k < sum.count; ++k) total += part[k * sum.inner];
      store(sum.is_narrow, total, sum.out, outer * sum.inner + i);
    });
  }

  PartSum sums[n_sums];
};

template <class L, class Real = typename L::Real>
SumParts<Real> sums_of(const ScanJob& job, const ScanGrads& grads, const BackwardScratch<L>& s) {
  const int64_t matrices = job.batch * job.groups, matrix = job.state * job.length;
  const int64_t blocks = Share<L>::per_group(job);
  return {{{s.dA, grads.dA, false, 1, job.batch, job.dim * job.state},
           {s.dD, grads.dD, false, 1, job.batch, job.dim},
           {s.dbias, grads.dbias, false, 1, job.batch, job.dim},
           {s.dB, grads.dB, job.is_narrow, matrices, blocks, matrix},
           {s.dC, grads.dC, job.is_narrow, matrices, blocks, matrix}}};
}

}  // namespace
}  // namespace faultsim
