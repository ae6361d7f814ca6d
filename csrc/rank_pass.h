// Passes of a ranking in parallel: each collects the flips that are no worse than a threshold.
#pragma once
#include "atomics.h"
#include "grid.h"
#include "rank_bound.h"
#include "rank_select.h"

namespace faultsim {

// What a pass asks of a word.
template <class F>
struct RankWords {
  using Word = typename F::Stored;
  using Real = typename RankBound<F>::Real;

  struct Limit {
    Real least;
    Ranked worst;
  };

  RankJob job;
  RankBound<F> bound;
  RankFound* found;
  Ranked* buffer;
  uint64_t capacity;

  FAULTSIM_HD Limit limit() const {
    return {static_cast<Real>(found->threshold.least), found->threshold.worst};
  }

  FAULTSIM_HD bool is_full() const { return load_relaxed(&found->flips) > capacity; }

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

// Few words, a thread each: in a small pass most survive, and one that had several would be waited
// for. The words of a block are consecutive, the blocks scattered.
template <class F>
struct RankSample {
  static constexpr int64_t kUnit = kBlockThreads;

  RankWords<F> words;
  int64_t units, step;  // of all words

  FAULTSIM_HD void operator()(int64_t thread) const {
    const int64_t unit = thread / kUnit * step % units, at = unit * kUnit + thread % kUnit;
    if (at < words.job.n && !words.is_full()) words.look_at(words.limit(), at);
  }
};

// Many words, or all. A block of threads reads a unit of consecutive words; units are scattered.
template <class F>
struct RankSweep {
  using Word = typename F::Stored;
  using Limit = typename RankWords<F>::Limit;
  static constexpr int kPacks = 4;  // loads in flight for each thread
  static constexpr int kPackBytes = 16;
  static constexpr int64_t kWide = kPackBytes / sizeof(Word);
  static constexpr int64_t kUnit = kPacks * kBlockThreads * kWide;

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

  RankWords<F> words;
  bool aligned;
  int64_t units, step;     // of all words
  int64_t visits, blocks;  // units of this pass, and blocks that share them
  int64_t leap;            // from one visit of a block to its next, modulo units

  FAULTSIM_HD void operator()(int64_t thread) const {
    const int64_t lane = thread % kBlockThreads, first = thread / kBlockThreads;
    const Limit limit = words.limit();
    int64_t unit = first * step % units;
    for (int64_t visit = first; visit < visits; visit += blocks) {
      const int64_t begin = unit * kUnit;
      if (!aligned || begin + kUnit > words.job.n)
        last_unit(limit, begin + lane);
      else if (words.bound.raises())
        whole_unit<true>(limit, begin + lane * kWide);
      else
        whole_unit<false>(limit, begin + lane * kWide);
      unit += leap;
      if (unit >= units) unit -= units;
    }
  }

 private:
  // Few words survive, and are read again: what all go through stays in registers.
  template <bool raises>
  FAULTSIM_HD void whole_unit(const Limit& limit, int64_t begin) const {
    Pack weights[kPacks], gradients[kPacks];
    FAULTSIM_UNROLL
    for (int pack = 0; pack < kPacks; ++pack) {
      const int64_t at = begin + pack * kBlockThreads * kWide;
      weights[pack] = load(words.weight() + at);
      gradients[pack] = load(words.gradient() + at);
    }
    if (!any_may_reach<raises>(limit, weights, gradients) || words.is_full()) return;
    for (int pack = 0; pack < kPacks; ++pack)
      look_at_pack(limit, begin + pack * kBlockThreads * kWide);
  }

  // Nearly always false: so the words are asked together, in as few instructions as they can be.
  template <bool raises>
  FAULTSIM_HD bool any_may_reach(const Limit& limit, const Pack* weights,
                                 const Pack* gradients) const {
    bool any = false;
    Pack seen{};
    FAULTSIM_UNROLL
    for (int pack = 0; pack < kPacks; ++pack) {
      FAULTSIM_UNROLL
      for (int i = 0; i < kWide; ++i) {
        const auto most = words.bound.template usual<raises>(weights[pack][i], gradients[pack][i]);
        any |= !(most < limit.least);  // a NaN goes on
      }
      seen |= weights[pack];
    }
    FAULTSIM_UNROLL
    for (int i = 0; i < kWide; ++i) any |= !words.bound.template all_usual<raises>(seen[i]);
    return any;
  }

  FAULTSIM_HD void look_at_pack(const Limit& limit, int64_t begin) const {
    const Pack weights = load(words.weight() + begin), gradients = load(words.gradient() + begin);
    uint32_t survivors = 0;
    FAULTSIM_UNROLL
    for (int i = 0; i < kWide; ++i)
      survivors |= uint32_t{!(words.bound(weights[i], gradients[i]) < limit.least)} << i;
    for (int i = 0; survivors != 0; ++i, survivors >>= 1)
      if (survivors & 1) words.look_at(limit, begin + i);
  }

  FAULTSIM_HD static const Pack& load(const Word* at) { return *reinterpret_cast<const Pack*>(at); }

  FAULTSIM_HD void last_unit(const Limit& limit, int64_t at) const {
    if (words.is_full()) return;
    for (int i = 0; i < kPacks * kWide && at < words.job.n; ++i, at += kBlockThreads)
      words.look_at(limit, at);
  }
};

}  // namespace faultsim
