// The k best of the flips that a pass has collected, chosen on the grid: so that one pass follows
// another without the host, and the host is given few.
#pragma once
#include <algorithm>

#include "atomics.h"
#include "block.h"
#include "rank_bound.h"

namespace faultsim {

// Flips that are worse do not count; `least` is what their bounds are held against.
struct RankThreshold {
  Ranked worst;
  double least;

  template <class F>
  FAULTSIM_HD static RankThreshold at(const Ranked& worst) {
    return {worst, static_cast<double>(RankBound<F>::threshold(worst.score))};
  }
};

// What a pass looks for and what it found; lies before the buffers.
struct RankFound {
  uint64_t flips;    // also those for which there was no room
  uint64_t not_nan;  // complement of the first position seen whose gradient is NaN; 0 for none
  RankThreshold threshold;
  uint64_t kept;    // of the flips, also those for which there was no room
  int32_t skipped;  // what kernels before noted
};

// One thread begins a pass.
struct RankBegin {
  RankFound* found;
  RankThreshold threshold;

  FAULTSIM_HD void operator()(int64_t) const { *found = {0, 0, threshold, 0, 0}; }
};

// One block finds the k-th best score of the flips collected, cut to its 24 highest bits: k are no
// worse, and few others.
template <class F>
struct RankSelect {
  static constexpr int threads = 1024, kDigit = 8, kDigits = 1 << kDigit;

  struct Shared {
    uint32_t counts[kDigits];  // by digit, of the scores that begin as the k-th best
    uint64_t score;            // its bits so far
    uint32_t k, next;          // its place among those counted, and among those of its digit
    uint32_t flips, kept;
    RankThreshold threshold;
  };

  RankFound* found;
  const Ranked* buffer;
  uint64_t capacity, k;

  // Leaves it in shared memory, if it is higher than that of the pass.
  FAULTSIM_HD void choose(const ThreadBlock<threads>& block, Shared& shared) const {
    block.each([&](int thread) {
      if (thread == 0) begin(shared);
    });
    const bool enough = shared.flips >= k;
    for (int shift = 56; enough && shift >= 40; shift -= kDigit) {
      block.each([&](int thread) {
        if (thread < kDigits) shared.counts[thread] = 0;
        if (thread == 0) shared.k = shared.next;
      });
      block.each([&](int thread) { count(shared, shift, thread); });
      block.each([&](int thread) {
        if (thread < kDigits) choose_digit(shared, shift, thread);
      });
    }
    block.each([&](int thread) {
      if (thread == 0 && enough) raise(shared);
    });
  }

 private:
  static constexpr int64_t kLast = std::numeric_limits<int64_t>::max();

  FAULTSIM_HD void begin(Shared& shared) const {
    shared.score = 0;
    shared.next = static_cast<uint32_t>(k);
    shared.flips = static_cast<uint32_t>(found->flips < capacity ? found->flips : capacity);
    shared.kept = 0;
    shared.threshold = found->threshold;
  }

  FAULTSIM_HD void count(Shared& shared, int shift, int thread) const {
    const uint64_t lower = (uint64_t{2} << (shift + kDigit - 1)) - 1;
    for (uint32_t i = thread; i < shared.flips; i += threads) {
      const uint64_t score = as<uint64_t>(buffer[i].score);
      if ((score & ~lower) == shared.score)
        fetch_add(&shared.counts[score >> shift & (kDigits - 1)], 1);
    }
  }

  // The digit is that of one thread.
  FAULTSIM_HD static void choose_digit(Shared& shared, int shift, int digit) {
    uint32_t better = 0;
    for (int other = kDigits - 1; other > digit; --other) better += shared.counts[other];
    if (better >= shared.k || better + shared.counts[digit] < shared.k) return;
    shared.score |= static_cast<uint64_t>(digit) << shift;
    shared.next = shared.k - better;
  }

  FAULTSIM_HD static void raise(Shared& shared) {
    const double score = as<double>(shared.score);
    if (score > shared.threshold.worst.score)
      shared.threshold = RankThreshold::at<F>({score, kLast, kLast});
  }
};

// Begins the next pass, with the threshold that this one has shown.
template <class F>
struct RankRaise {
  using Shared = typename RankSelect<F>::Shared;
  static constexpr int threads = RankSelect<F>::threads;

  RankSelect<F> select;

  FAULTSIM_HD void operator()(ThreadBlock<threads> block, Shared& shared, int64_t) const {
    select.choose(block, shared);
    block.each([&](int thread) {
      if (thread == 0) *select.found = {0, 0, shared.threshold, 0, 0};
    });
  }
};

// Ends the last pass: the best flips, k or a few more, go where the host reads them.
template <class F>
struct RankKeep {
  using Shared = typename RankSelect<F>::Shared;
  static constexpr int threads = RankSelect<F>::threads;

  RankSelect<F> select;
  Ranked* kept;
  uint64_t room;
  const int32_t* flag;  // of the device

  FAULTSIM_HD void operator()(ThreadBlock<threads> block, Shared& shared, int64_t) const {
    select.choose(block, shared);
    block.each([&](int thread) {
      for (uint32_t i = thread; i < shared.flips; i += threads) keep(shared, select.buffer[i]);
    });
    block.each([&](int thread) {  // the host reads all of it
      for (uint64_t i = shared.kept + thread; i < room; i += threads) kept[i] = {};
      if (thread != 0) return;
      select.found->kept = shared.kept;
      select.found->skipped = *flag;
    });
  }

 private:
  FAULTSIM_HD void keep(Shared& shared, const Ranked& entry) const {
    if (shared.threshold.worst < entry) return;
    const uint32_t slot = fetch_add(&shared.kept, 1);
    if (slot < room) kept[slot] = entry;
  }
};

}  // namespace faultsim
