// The ranking in parallel. A pass collects the flips that are no worse than a threshold; where they
// overflow the buffer, the k-th best of those collected is a better one. Passes grow from a
// scattered sample to all words, so that the last, which alone reads everything, finds little.
#pragma once
#include "atomics.h"
#include "float_mode.h"
#include "grid.h"
#include "rank_bound.h"
#include "scatter.h"

namespace faultsim {

constexpr int kPacks = 4;       // loads in flight for each thread
constexpr int kPackBytes = 16;  // of one load

// What a pass found; lies before the buffer.
struct RankFound {
  uint64_t flips;  // also those for which there was no room
  uint64_t nan;    // first position seen whose gradient is NaN
};

// One pass. A block of threads reads a unit of consecutive words; units are scattered.
template <class F>
struct RankPass {
  using Word = typename F::Stored;
  static constexpr int64_t kWide = kPackBytes / sizeof(Word);
  static constexpr int64_t kUnit = kPacks * kBlockThreads * kWide;

  struct alignas(kPackBytes) Pack {
    Word words[kWide];
  };

  RankJob job;
  RankBound<F> bound;
  typename RankBound<F>::Real least;
  Ranked worst;
  bool aligned;
  int64_t units, step;     // of all words
  int64_t visits, blocks;  // units of this pass, and blocks that share them
  RankFound* found;
  Ranked* buffer;
  uint64_t capacity;

  FAULTSIM_HD void operator()(int64_t thread) const {
    const int64_t lane = thread % kBlockThreads;
    for (int64_t visit = thread / kBlockThreads; visit < visits; visit += blocks) {
      if (load_relaxed(&found->flips) > capacity) return;
      const int64_t begin = visit * step % units * kUnit;
      if (aligned && begin + kUnit <= job.n)
        whole_unit(begin + lane * kWide);
      else
        last_unit(begin + lane);
    }
  }

  // Few words survive, and are read again: what all go through stays in registers.
  FAULTSIM_HD void whole_unit(int64_t begin) const {
    Pack weights[kPacks], gradients[kPacks];
    FAULTSIM_UNROLL
    for (int pack = 0; pack < kPacks; ++pack) {
      const int64_t at = begin + pack * kBlockThreads * kWide;
      weights[pack] = *reinterpret_cast<const Pack*>(weight() + at);
      gradients[pack] = *reinterpret_cast<const Pack*>(gradient() + at);
    }
    uint32_t survivors = 0;
    FAULTSIM_UNROLL
    for (int i = 0; i < kPacks * kWide; ++i) {
      const int pack = i / kWide, word = i % kWide;
      if (survives(place(begin, i), weights[pack].words[word], gradients[pack].words[word]))
        survivors |= uint32_t{1} << i;
    }
    for (int i = 0; survivors != 0; ++i, survivors >>= 1)
      if (survivors & 1) collect(place(begin, i));
  }

  FAULTSIM_HD static int64_t place(int64_t begin, int i) {
    return begin + i / kWide * kBlockThreads * kWide + i % kWide;
  }

  FAULTSIM_HD void last_unit(int64_t at) const {
    for (int i = 0; i < kPacks * kWide && at < job.n; ++i, at += kBlockThreads)
      if (survives(at, weight()[at], gradient()[at])) collect(at);
  }

  // Whether a flip of the word may be no worse than the worst.
  FAULTSIM_HD bool survives(int64_t at, Word word, Word slope) const {
    const auto most = bound(word, slope);
    if (most < least) return false;  // a NaN goes on
    // Where all scores are zero, the lowest positions win.
    return most != 0 || (slope & kMagnitude<F>) != 0 || at <= worst.index;
  }

  FAULTSIM_HD void collect(int64_t at) const {
    const Word word = weight()[at], slope = gradient()[at];
    if ((slope & kMagnitude<F>) > kInfinity<F>) fetch_min(&found->nan, static_cast<uint64_t>(at));
    if (load_relaxed(&found->flips) > capacity) return;
    visit_bits<F>(
        job, word, slope, [&] { return worst.score; },
        [&](double score, int bit) {
          const Ranked entry{score, at, bit};
          if (worst < entry) return;
          const uint64_t slot = fetch_add(&found->flips, 1);
          if (slot < capacity) buffer[slot] = entry;
        });
  }

  FAULTSIM_HD const Word* weight() const { return static_cast<const Word*>(job.weight); }
  FAULTSIM_HD const Word* gradient() const { return static_cast<const Word*>(job.grad); }
};

// Memory that the grid can write, of sizeof(RankFound) + capacity * sizeof(Ranked) bytes.
struct RankBuffer {
  RankFound* found;
  int64_t capacity;  // more than k

  Ranked* entries() const { return reinterpret_cast<Ranked*>(found + 1); }
};

template <class Grid>
struct GridRanking {
  Grid grid;
  RankBuffer buffer;

  // As rank_bits.
  std::vector<Ranked> run(const RankJob& job, int64_t* nan) const;

 private:
  template <class F>
  std::vector<Ranked> run_as(const RankJob& job, int64_t* nan) const;
  template <class F>
  RankPass<F> first_pass(const RankJob& job) const;
  template <class F>
  std::vector<Ranked> collect(RankPass<F>& pass, RankFound* found) const;
};

template <class Grid>
template <class F>
RankPass<F> GridRanking<Grid>::first_pass(const RankJob& job) const {
  constexpr int64_t unit = RankPass<F>::kUnit, most = std::numeric_limits<int64_t>::max();
  const auto addresses =
      reinterpret_cast<uintptr_t>(job.weight) | reinterpret_cast<uintptr_t>(job.grad);
  const int64_t units = (job.n + unit - 1) / unit;
  return {job,
          RankBound<F>(job),
          RankBound<F>::threshold(-1),
          {-1, most, most},
          addresses % kPackBytes == 0,
          units,
          scatter_step(units),
          1,
          1,
          buffer.found,
          buffer.entries(),
          static_cast<uint64_t>(buffer.capacity)};
}

// Runs one pass and brings back what it wrote.
template <class Grid>
template <class F>
std::vector<Ranked> GridRanking<Grid>::collect(RankPass<F>& pass, RankFound* found) const {
  pass.blocks = std::min(pass.visits, grid.blocks_at_once());
  *found = {0, ~uint64_t{0}};
  grid.copy(buffer.found, found, sizeof *found);
  grid.run(pass.blocks * kBlockThreads, pass);
  grid.copy(found, buffer.found, sizeof *found);
  std::vector<Ranked> entries(std::min(found->flips, pass.capacity));
  grid.copy(entries.data(), buffer.entries(), entries.size() * sizeof(Ranked));
  return entries;
}

template <class Grid>
template <class F>
std::vector<Ranked> GridRanking<Grid>::run_as(const RankJob& job, int64_t* nan) const {
  const int64_t growth = std::max<int64_t>(2, buffer.capacity / (2 * job.k));
  RankPass<F> pass = first_pass<F>(job);
  for (;;) {
    RankFound found;
    std::vector<Ranked> entries = collect(pass, &found);
    const bool overflowed = found.flips > pass.capacity;
    if (!overflowed && pass.visits == pass.units) {
      *nan = static_cast<int64_t>(found.nan);  // -1: none
      std::sort(entries.begin(), entries.end());
      entries.resize(std::min<size_t>(entries.size(), job.k));
      return entries;
    }
    if (static_cast<int64_t>(entries.size()) >= job.k) {
      std::nth_element(entries.begin(), entries.begin() + (job.k - 1), entries.end());
      pass.worst = entries[job.k - 1];
      pass.least = RankBound<F>::threshold(pass.worst.score);
    }
    if (!overflowed) pass.visits = std::min(pass.units, pass.visits * growth);
  }
}

template <class Grid>
std::vector<Ranked> GridRanking<Grid>::run(const RankJob& job, int64_t* nan) const {
  const FloatMode mode;  // scores may be subnormal, and are compared here
  *nan = -1;
  if (job.n == 0) return {};
  switch (job.format) {
    case Float::f64:
      return run_as<F64>(job, nan);
    case Float::f32:
      return run_as<F32>(job, nan);
    case Float::f16:
      return run_as<F16>(job, nan);
    default:
      return run_as<BF16>(job, nan);
  }
}

extern template struct GridRanking<DeviceGrid>;

}  // namespace faultsim
