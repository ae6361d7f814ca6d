// How a scan lies on the threads of a block, and one tile of steps through it.
//
// A channel has 8, 16 or 32 threads, its lanes, each of which keeps two states in registers; the
// channels of a block are of one sample and group and read B and C once. A lane's states pass a
// tile one step after the other, so that faults strike where an upset would; batch, channels and
// states are what fills a device.
#pragma once
#include "block.h"
#include "scan_faults.h"
#include "scan_scalar.h"

namespace faultsim {
namespace {

constexpr int kScanThreads = 128;
constexpr int kHeld = 2;  // states of a lane

template <class Real_, int lanes_>
struct Layout {
  using Real = Real_;
  static constexpr int lanes = lanes_, channels = kScanThreads / lanes;
  // Steps: as many as shared memory of 48 KiB has room for.
  static constexpr int forward_tile = 128 / sizeof(Real), backward_tile = 64 / sizeof(Real);

  FAULTSIM_HD static int channel(int thread) { return thread / lanes; }
  FAULTSIM_HD static int lane(int thread) { return thread % lanes; }
};

using ScanBlock = ThreadBlock<kScanThreads>;

template <class T>
using PerScanThread = PerThread<T, kScanThreads>;

template <class Real>
struct alignas(kHeld * sizeof(Real)) Pair {
  Real of[kHeld];
  FAULTSIM_HD Real& operator[](int k) { return of[k]; }
  FAULTSIM_HD const Real& operator[](int k) const { return of[k]; }
};

// The channels of a block.
template <class L>
struct Share {
  FAULTSIM_HD static int64_t per_group(const ScanJob& job) {
    return (job.dim / job.groups + L::channels - 1) / L::channels;
  }

  FAULTSIM_HD static int64_t count(const ScanJob& job) {
    return job.batch * job.groups * per_group(job);
  }

  FAULTSIM_HD Share(const ScanJob& job, int64_t number) : number(number) {
    const int64_t blocks = per_group(job), each = job.dim / job.groups;
    const int64_t before = number % blocks * L::channels;
    sample = number / blocks / job.groups;
    group = number / blocks % job.groups;
    first = group * each + before;
    channels = static_cast<int>(each - before < L::channels ? each - before : L::channels);
    matrix = (sample * job.groups + group) * job.state * job.length;
  }

  // Where the row of a channel of the block begins.
  FAULTSIM_HD int64_t row(const ScanJob& job, int channel) const {
    return (sample * job.dim + first + channel) * job.length;
  }

  int64_t number, sample, group, first, matrix;
  int channels;
};

// What a thread keeps.
template <class Real>
struct Lane {
  Pair<Real> rate, h;  // A in units of log2, so that exp(step * A) is 2^(step * rate)
  Real most_rate;      // the largest magnitude of its channel
  int states;          // 0, 1 or 2
};

// Steps of a tile as the block shares them; a column more spreads rows over the banks of memory.
template <class L, int tile_>
struct Tile {
  using Real = typename L::Real;
  static constexpr int tile = tile_;
  Pair<Real> step[tile][L::channels + 1];  // the step size, and its product with u
  Real u[tile][L::channels + 1];
  Pair<Real> b[tile][L::lanes + 1], c[tile][L::lanes + 1];
};

struct Steps {
  FAULTSIM_HD Steps(const ScanJob& job, int64_t from, int tile) : from(from) {
    count = static_cast<int>(job.length - from < tile ? job.length - from : tile);
  }

  int64_t from;
  int count;
};

// An element of what may be stored in bfloat16.
template <class Real>
FAULTSIM_HD inline Real load(const ScanJob& job, const void* values, int64_t i) {
  if constexpr (sizeof(Real) == 4)
    if (job.is_narrow)
      return bits_as<float>(uint32_t{static_cast<const uint16_t*>(values)[i]} << 16);
  return static_cast<const Real*>(values)[i];
}

// To the nearest bfloat16, ties to even; a NaN stays one.
FAULTSIM_HD inline uint16_t narrowed(float value) {
  const uint32_t word = bits_as<uint32_t>(value);
  if (value != value) return static_cast<uint16_t>(word >> 16 | 0x40);
  return static_cast<uint16_t>((word + 0x7FFF + (word >> 16 & 1)) >> 16);
}

template <class Real>
FAULTSIM_HD inline void store(bool is_narrow, Real value, void* values, int64_t i) {
  if constexpr (sizeof(Real) == 4)
    if (is_narrow) {
      static_cast<uint16_t*>(values)[i] = narrowed(value);
      return;
    }
  static_cast<Real*>(values)[i] = value;
}

template <class Real>
FAULTSIM_HD inline Real of_channel(const void* values, int64_t channel) {
  return values == nullptr ? 0 : static_cast<const Real*>(values)[channel];
}

template <class L, class Real = typename L::Real>
FAULTSIM_HD inline Lane<Real> first_lane(const ScanJob& job, const Share<L>& share, int thread) {
  Lane<Real> lane{};
  if (L::channel(thread) >= share.channels) return lane;
  const Real* A = static_cast<const Real*>(job.A) + (share.first + L::channel(thread)) * job.state;
  for (int n = 0; n < job.state; ++n) {
    const Real rate = A[n] * static_cast<Real>(kLog2E);
    lane.most_rate = larger(lane.most_rate, rate < 0 ? -rate : rate);
    for (int k = 0; k < kHeld; ++k)
      if (n == L::lane(thread) * kHeld + k) {
        lane.rate[k] = rate;
        lane.states = k + 1;
      }
  }
  return lane;
}

// Elements n of what may be stored in bfloat16, all on their way before one is waited for: where
// few blocks fill the device, nothing else hides how long that takes. A negative place is none.
template <int n, class Real, class Place>
FAULTSIM_HD inline void fetch(const ScanJob& job, const void* values, const Place& place,
                              Real (&out)[n]) {
  if constexpr (sizeof(Real) == 4)
    if (job.is_narrow) {
      FAULTSIM_UNROLL
      for (int j = 0; j < n; ++j) {
        const int64_t at = place(j);
        const uint16_t word = at < 0 ? 0 : static_cast<const uint16_t*>(values)[at];
        out[j] = bits_as<float>(uint32_t{word} << 16);
      }
      return;
    }
  FAULTSIM_UNROLL
  for (int j = 0; j < n; ++j) {
    const int64_t at = place(j);
    out[j] = at < 0 ? 0 : static_cast<const Real*>(values)[at];
  }
}

// A thread's share of a tile of B or C, zeros of none: one row after another, so that neighbours
// read neighbours.
template <class L, int tile, class Real = typename L::Real>
struct MatrixPart {
  static constexpr int n = (L::lanes * kHeld * tile + kScanThreads - 1) / kScanThreads;

  FAULTSIM_HD void fetch_from(const ScanJob& job, const Share<L>& share, const Steps& steps,
                              int thread, const void* matrix) {
    fetch(
        job, matrix,
        [&](int j) {
          const int row = row_of(thread, j), t = step_of(thread, j);
          const bool is_there = matrix != nullptr && row < job.state && t < steps.count;
          return is_there ? share.matrix + row * job.length + steps.from + t : -1;
        },
        values);
  }

  FAULTSIM_HD void lay(int thread, Pair<Real> (&out)[tile][L::lanes + 1]) const {
    FAULTSIM_UNROLL
    for (int j = 0; j < n; ++j) {
      const int row = row_of(thread, j);
      if (row < L::lanes * kHeld) out[step_of(thread, j)][row / kHeld][row % kHeld] = values[j];
    }
  }

  FAULTSIM_HD static int row_of(int thread, int j) { return (thread + j * kScanThreads) / tile; }
  FAULTSIM_HD static int step_of(int thread, int j) { return (thread + j * kScanThreads) % tile; }

  Real values[n];
};

// Delta with the bias, before the softplus.
template <class L, class Real = typename L::Real>
FAULTSIM_HD inline Real raw_step(const ScanJob& job, const Share<L>& share, int channel,
                                 int64_t t) {
  return load<Real>(job, job.delta, share.row(job, channel) + t) +
         of_channel<Real>(job.bias, share.first + channel);
}

// The lanes of a channel share its steps: lane, lane + lanes, ...
template <class L, class Body>
FAULTSIM_HD inline void each_step(const Share<L>& share, const Steps& steps, int thread,
                                  const Body& body) {
  const int channel = L::channel(thread);
  if (channel >= share.channels) return;
  for (int t = L::lane(thread); t < steps.count; t += L::lanes) body(channel, t);
}

// A thread's steps of a row of its channel.
template <class L, int tile, class Real = typename L::Real>
struct RowPart {
  static constexpr int n = (tile + L::lanes - 1) / L::lanes;

  FAULTSIM_HD void fetch_from(const ScanJob& job, const Share<L>& share, const Steps& steps,
                              int thread, const void* rows) {
    const int channel = L::channel(thread);
    fetch(
        job, rows,
        [&](int j) {
          const int t = L::lane(thread) + j * L::lanes;
          const bool is_there = channel < share.channels && t < steps.count;
          return is_there ? share.row(job, channel) + steps.from + t : -1;
        },
        values);
  }

  // Calls body(channel, step, j) for each; values[j] is its own.
  template <class Body>
  FAULTSIM_HD static void each(const Share<L>& share, const Steps& steps, int thread,
                               const Body& body) {
    const int channel = L::channel(thread);
    if (channel >= share.channels) return;
    FAULTSIM_UNROLL
    for (int j = 0; j < n; ++j) {
      const int t = L::lane(thread) + j * L::lanes;
      if (t < steps.count) body(channel, t, j);
    }
  }

  Real values[n];
};

// Lays a tile out, with C unless it is null. Whether something in it is out of the ordinary: a
// 2^(step * rate), or a fault that strikes the block.
template <class L, class S, class Also, class Real = typename L::Real>
FAULTSIM_HD inline bool load_tile(const ScanBlock& block, const ScanJob& job, const Share<L>& share,
                                  const Steps& steps, PerScanThread<Lane<Real>>& lanes, S& tile,
                                  const void* C, const Also& also) {
  return block.any([&](int thread) {
    bool special = false;
    MatrixPart<L, S::tile> b, c;
    RowPart<L, S::tile> u, delta;
    u.fetch_from(job, share, steps, thread, job.u);
    delta.fetch_from(job, share, steps, thread, job.delta);
    b.fetch_from(job, share, steps, thread, job.B);
    c.fetch_from(job, share, steps, thread, C);
    also(thread);
    b.lay(thread, tile.b);
    if (C != nullptr) c.lay(thread, tile.c);
    const int own = L::channel(thread) < share.channels ? L::channel(thread) : 0;
    const Real bias = of_channel<Real>(job.bias, share.first + own);
    u.each(share, steps, thread, [&](int channel, int t, int j) {
      const Real raw = delta.values[j] + bias;
      const Real step = job.softplus ? softplus(raw) : raw;
      tile.step[t][channel] = {step, step * u.values[j]};
      tile.u[t][channel] = u.values[j];
      special |= !is_near(step * lanes[thread].most_rate);
    });
    if (job.n_faults == 0) return special;
    const StateFault* end = first_at(job, steps.from + steps.count);
    for (const StateFault* f = first_at(job, steps.from) + thread; f < end; f += kScanThreads)
      special |= f->channel >= share.first && f->channel < share.first + share.channels &&
                 (f->batch < 0 || f->batch == share.sample);
    return special;
  });
}

// Strikes the states of a lane after step t with the faults from `next` on, in their order.
template <class Real>
FAULTSIM_HD inline const StateFault* strike(const StateFault* next, const StateFault* end,
                                            int64_t t, int64_t sample, int64_t channel,
                                            int64_t state, Pair<Real>& h) {
  for (; next != end && next->step == t; ++next) {
    if (next->channel != channel || (next->batch >= 0 && next->batch != sample)) continue;
    for (int k = 0; k < kHeld; ++k)
      if (next->state == state + k) h[k] = bits_as<Real>(struck(bits_as<Word<Real>>(h[k]), *next));
  }
  return next;
}

template <bool special, class L, class S, class Real, class Read>
FAULTSIM_HD inline void pass_lane(const ScanJob& job, const Share<L>& share, const Steps& steps,
                                  int thread, Lane<Real>& own, const S& tile, const Read& read) {
  const int channel = L::channel(thread), lane = L::lane(thread);
  if (channel >= share.channels) return;
  const StateFault *next = job.faults, *end = job.faults;
  if (special && job.n_faults != 0) {
    next = first_at(job, steps.from);
    end = first_at(job, steps.from + steps.count);
  }
  const Pair<Real> rate = own.rate;
  Pair<Real> h = own.h;
#ifdef __CUDA_ARCH__
#pragma unroll(special || sizeof(Real) == 8 ? 1 : 4)
#endif
  for (int t = 0; t < steps.count; ++t) {
    const Pair<Real> step = tile.step[t][channel], b = tile.b[t][lane];
    Pair<Real> decay;
    for (int k = 0; k < kHeld; ++k) {
      decay[k] = exp2_of<!special>(step[0], rate[k]);
      h[k] = fused(decay[k], h[k], step[1] * b[k]);
    }
    if (special)
      next = strike(next, end, steps.from + t, share.sample, share.first + channel,
                    int64_t{lane} * kHeld, h);
    read(t, decay, h);
  }
  own.h = h;
}

// Takes the states of the block through a tile; `read` sees those of a thread after each step. What
// is ordinary takes the shorter way, which gives the same bits.
template <class L, class S, class Real, class Read>
FAULTSIM_HD inline void pass_tile(const ScanBlock& block, const ScanJob& job, const Share<L>& share,
                                  const Steps& steps, bool special,
                                  PerScanThread<Lane<Real>>& lanes, const S& tile,
                                  const Read& read) {
  block.each([&](int thread) {
    auto see = [&](int t, const Pair<Real>& decay, const Pair<Real>& h) {
      read(thread, t, decay, h);
    };
    if (special)
      pass_lane<true>(job, share, steps, thread, lanes[thread], tile, see);
    else
      pass_lane<false>(job, share, steps, thread, lanes[thread], tile, see);
  });
}

}  // namespace
}  // namespace faultsim
