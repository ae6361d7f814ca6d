// The ranking in parallel. A pass collects the flips that are no worse than a threshold; the k-th
// best of those collected, or a little less, is the next one. Passes grow from a scattered sample
// to all words, so that the last, which alone reads everything, finds little; the host waits for
// that alone.
#pragma once
#include <memory>

#include "atomics.h"
#include "float_mode.h"
#include "grid.h"
#include "rank_bound.h"
#include "rank_raise.h"
#include "scatter.h"

namespace faultsim {

constexpr int kPacks = 4;       // loads in flight for each thread where all words are read
constexpr int kFew = 1;         // and where few are: a thread alone with many would be waited for
constexpr int kPackBytes = 16;  // of one load

// One pass. A block of threads reads a unit of consecutive words; units are scattered.
template <class F, int packs>
struct RankPass {
  using Word = typename F::Stored;
  using Real = typename RankBound<F>::Real;
  static constexpr int64_t kWide = kPackBytes / sizeof(Word);
  static constexpr int64_t kUnit = packs * kBlockThreads * kWide;

  struct alignas(kPackBytes) Pack {
    uint32_t parts[kPackBytes / sizeof(uint32_t)];

    FAULTSIM_HD Word operator[](int i) const {
      if constexpr (sizeof(Word) < sizeof(uint32_t))
        return static_cast<Word>(parts[i / 2] >> i % 2 * 16);
      Word word;
      memcpy(&word, parts + i * sizeof(Word) / sizeof(uint32_t), sizeof word);
      return word;
    }

    FAULTSIM_HD void operator|=(const Pack& other) {
      FAULTSIM_UNROLL
      for (size_t i = 0; i < sizeof parts / sizeof *parts; ++i) parts[i] |= other.parts[i];
    }
  };

  struct Limit {
    Real least;
    Ranked worst;
  };

  RankJob job;
  RankBound<F> bound;
  bool aligned;
  int64_t units, step;     // of all words
  int64_t visits, blocks;  // units of this pass, and blocks that share them
  int64_t leap;            // from one visit of a block to its next, modulo units
  RankFound* found;
  Ranked* buffer;
  uint64_t capacity;

  FAULTSIM_HD void operator()(int64_t thread) const {
    const int64_t lane = thread % kBlockThreads, first = thread / kBlockThreads;
    const Limit limit{static_cast<Real>(found->threshold.least), found->threshold.worst};
    int64_t unit = first * step % units;
    for (int64_t visit = first; visit < visits; visit += blocks) {
      const int64_t begin = unit * kUnit;
      if (!aligned || begin + kUnit > job.n)
        last_unit(limit, begin + lane);
      else if (bound.raises())
        whole_unit<true>(limit, begin + lane * kWide);
      else
        whole_unit<false>(limit, begin + lane * kWide);
      unit += leap;
      if (unit >= units) unit -= units;
    }
  }

  FAULTSIM_HD bool is_full() const { return load_relaxed(&found->flips) > capacity; }

  // Few words survive, and are read again: what all go through stays in registers.
  template <bool raises>
  FAULTSIM_HD void whole_unit(const Limit& limit, int64_t begin) const {
    Pack weights[packs], gradients[packs];
    FAULTSIM_UNROLL
    for (int pack = 0; pack < packs; ++pack) {
      const int64_t at = begin + pack * kBlockThreads * kWide;
      weights[pack] = *reinterpret_cast<const Pack*>(weight() + at);
      gradients[pack] = *reinterpret_cast<const Pack*>(gradient() + at);
    }
    if (!any_may_reach<raises>(limit, weights, gradients) || is_full()) return;
    for (int i = 0; i < packs * kWide; ++i) {
      const int64_t at = place(begin, i);
      const auto most = bound.template quick<raises>(weight()[at], gradient()[at]);
      if (!(most < limit.least)) look_at(limit, at);
    }
  }

  // Nearly always false: so the words are asked together, in as few instructions as they can be.
  template <bool raises>
  FAULTSIM_HD bool any_may_reach(const Limit& limit, const Pack* weights,
                                 const Pack* gradients) const {
    bool any = false;
    Pack seen{};
    FAULTSIM_UNROLL
    for (int pack = 0; pack < packs; ++pack) {
      FAULTSIM_UNROLL
      for (int i = 0; i < kWide; ++i) {
        const auto most =
            bound.template usual<raises>(weights[pack][i], gradients[pack][i]);
        any |= !(most < limit.least);  // a NaN goes on
      }
      seen |= weights[pack];
    }
    FAULTSIM_UNROLL
    for (int i = 0; i < kWide; ++i) any |= !bound.template all_usual<raises>(seen[i]);
    return any;
  }

  FAULTSIM_HD static int64_t place(int64_t begin, int i) {
    return begin + i / kWide * kBlockThreads * kWide + i % kWide;
  }

  FAULTSIM_HD void last_unit(const Limit& limit, int64_t at) const {
    if (is_full()) return;
    for (int i = 0; i < packs * kWide && at < job.n; ++i, at += kBlockThreads) look_at(limit, at);
  }

  FAULTSIM_HD void look_at(const Limit& limit, int64_t at) const {
    const Word word = weight()[at], slope = gradient()[at];
    if (survives(limit, at, word, slope)) collect(limit.worst, at, word, slope);
  }

  // Whether a flip of the word may be no worse than the worst.
  FAULTSIM_HD bool survives(const Limit& limit, int64_t at, Word word, Word slope) const {
    const auto most = bound(word, slope);
    if (most < limit.least) return false;  // a NaN goes on
    // Where all scores are zero, the lowest positions win.
    return most != 0 || (slope & kMagnitude<F>) != 0 || at <= limit.worst.index;
  }

  FAULTSIM_HD void collect(const Ranked& worst, int64_t at, Word word, Word slope) const {
    if ((slope & kMagnitude<F>) > kInfinity<F>)
      fetch_max(&found->not_nan, ~static_cast<uint64_t>(at));
    if (is_full()) return;
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

// Memory of a header and `capacity` flips: the grid's, and the host's for what comes back.
struct RankBuffer {
  RankFound* found;
  int64_t capacity;  // more than k

  static size_t bytes(int64_t flips) { return sizeof(RankFound) + flips * sizeof(Ranked); }

  Ranked* entries() const { return reinterpret_cast<Ranked*>(found + 1); }

  bool overflowed() const { return found->flips > static_cast<uint64_t>(capacity); }
  int64_t flips() const { return overflowed() ? capacity : static_cast<int64_t>(found->flips); }
};

template <class Grid>
struct GridRanking {
  Grid grid;
  RankBuffer buffer;  // the grid's

  // As rank_bits.
  std::vector<Ranked> run(const RankJob& job, int64_t* nan) const;

  // A word of the grid, for the host.
  int32_t read(const int32_t* word) const;

 private:
  template <class F>
  std::vector<Ranked> run_as(const RankJob& job, int64_t* nan) const;
  template <class Pass>
  Pass pass_of(const RankJob& job) const;
  template <class F>
  void begin(const Ranked& worst) const;
  template <class Pass>
  void collect(Pass pass, int64_t visits) const;
  template <class F>
  void raise(int64_t k) const;
  template <class F>
  void narrow(const RankJob& job) const;
  void bring(const RankBuffer& host) const;
};

template <class Grid>
template <class Pass>
Pass GridRanking<Grid>::pass_of(const RankJob& job) const {
  const auto addresses =
      reinterpret_cast<uintptr_t>(job.weight) | reinterpret_cast<uintptr_t>(job.grad);
  const int64_t units = (job.n + Pass::kUnit - 1) / Pass::kUnit;
  return {job,
          decltype(Pass::bound)(job),
          addresses % kPackBytes == 0,
          units,
          scatter_step(units),
          0,
          0,
          0,
          buffer.found,
          buffer.entries(),
          static_cast<uint64_t>(buffer.capacity)};
}

template <class Grid>
template <class F>
void GridRanking<Grid>::begin(const Ranked& worst) const {
  grid.run(1, RankBegin{buffer.found, RankThreshold::at<F>(worst)});
}

template <class Grid>
template <class Pass>
void GridRanking<Grid>::collect(Pass pass, int64_t visits) const {
  pass.visits = visits;
  pass.blocks = std::min(visits, grid.blocks_at_once());
  pass.leap = pass.blocks * pass.step % pass.units;
  grid.run(pass.blocks * kBlockThreads, pass);
}

template <class Grid>
template <class F>
void GridRanking<Grid>::raise(int64_t k) const {
  grid.run_blocks(
      1, RankRaise<F>{buffer.found, buffer.entries(), static_cast<uint64_t>(buffer.capacity),
                      static_cast<uint64_t>(k)});
}

// The bit whose flips mostly score highest.
template <class F>
uint64_t telling_bit(uint64_t bits) {
  const uint64_t exponent = bits & static_cast<uint64_t>(kInfinity<F>);
  if (exponent != 0) bits = exponent;
  return bits == 0 ? 0 : uint64_t{1} << highest_bit(bits);
}

// Passes over growing samples, each with the threshold that the last has shown.
template <class Grid>
template <class F>
void GridRanking<Grid>::narrow(const RankJob& job) const {
  using Pass = RankPass<F, kFew>;
  const Pass pass = pass_of<Pass>(job);
  // A threshold to begin with, from one bit: all flips of as many words would not fit.
  RankJob telling = job;
  telling.bits = telling_bit<F>(job.bits);
  const int64_t first = std::clamp<int64_t>(buffer.capacity / (2 * Pass::kUnit), 1, pass.units);
  collect(pass_of<Pass>(telling), first);
  raise<F>(job.k);
  // A pass finds k * growth flips or so; of few, their number varies, and should fit all the same.
  const int64_t growth = std::max<int64_t>(2, buffer.capacity / (2 * job.k + 8));
  int64_t visits = pass.units;  // that grow to all units exactly
  while (visits > growth * 2 * first) visits = (visits + growth - 1) / growth;
  for (; visits < pass.units; visits = std::min(pass.units, visits * growth)) {
    collect(pass, visits);
    raise<F>(job.k);
  }
}

// In one copy, unless it is more than expected.
template <class Grid>
void GridRanking<Grid>::bring(const RankBuffer& host) const {
  const int64_t expected = buffer.capacity / 2;
  grid.copy(host.found, buffer.found, RankBuffer::bytes(expected));
  const int64_t more = host.flips() - expected;
  if (more > 0)
    grid.copy(host.entries() + expected, buffer.entries() + expected, more * sizeof(Ranked));
}

template <class Grid>
template <class F>
std::vector<Ranked> GridRanking<Grid>::run_as(const RankJob& job, int64_t* nan) const {
  constexpr int64_t last = std::numeric_limits<int64_t>::max();
  const std::unique_ptr<char[]> memory(new char[RankBuffer::bytes(buffer.capacity)]);
  const RankBuffer host{reinterpret_cast<RankFound*>(memory.get()), buffer.capacity};
  const auto all = pass_of<RankPass<F, kPacks>>(job);
  grid.clear(buffer.found, RankBuffer::bytes(buffer.capacity / 2));  // it is copied as a whole
  begin<F>({-1, last, last});
  narrow<F>(job);
  for (;;) {
    collect(all, all.units);
    bring(host);
    Ranked *first = host.entries(), *end = first + std::min(job.k, host.flips());
    if (end != first) std::nth_element(first, end - 1, first + host.flips());
    if (!host.overflowed()) {
      *nan = static_cast<int64_t>(~host.found->not_nan);  // -1: none
      std::sort(first, end);
      return {first, end};
    }
    begin<F>(end[-1]);  // of more than k flips, exactly: equal scores differ by position
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

template <class Grid>
int32_t GridRanking<Grid>::read(const int32_t* word) const {
  int32_t found;
  grid.copy(&found, word, sizeof found);
  return found;
}

extern template struct GridRanking<DeviceGrid>;

}  // namespace faultsim
