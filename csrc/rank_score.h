// The score of every flip of one word, shared by host and device.
#pragma once
#include <cmath>
#include <limits>

#include "float_words.h"
#include "rank.h"

namespace faultsim {

constexpr double kLargest = std::numeric_limits<double>::max();
constexpr double kInfinite = std::numeric_limits<double>::infinity();

FAULTSIM_HD inline int highest_bit(uint64_t bits) {
#ifdef __CUDA_ARCH__
  return 63 - __clzll(static_cast<long long>(bits));
#else
  return 63 - __builtin_clzll(bits);
#endif
}

FAULTSIM_HD inline bool is_finite(double x) { return fabs(x) <= kLargest; }

// Calls take(score, bit) for the flips of a word that the job allows and that score least() or
// more, high bits first: they raise the threshold.
template <class F, class Least, class Take>
FAULTSIM_HD inline void visit_bits(const RankJob& job, typename F::Stored weight,
                                   typename F::Stored gradient, Least least, Take take) {
  const double slope = value<F>(gradient), before = value<F>(weight);
  const uint64_t pattern = static_cast<uint64_t>(weight);
  uint64_t left = job.direction == Direction::both          ? job.bits
                  : job.direction == Direction::zero_to_one ? job.bits & ~pattern
                                                            : job.bits & pattern;
  while (left != 0) {
    const int bit = highest_bit(left);
    left ^= uint64_t{1} << bit;
    const double after = value<F>(static_cast<typename F::Stored>(pattern ^ uint64_t{1} << bit));
    double score = fabs(slope * (after - before));
    if (score < least()) {            // a NaN goes on
      if (bit < F::mantissa) return;  // lower bits change less
      continue;
    }
    if (!is_finite(before) || !is_finite(after)) {
      if (job.finite_only) continue;
      score = kInfinite;
    } else if (score != score) {
      score = 0;  // an infinite gradient without a change, or a change that overflows without one
    }
    take(score, bit);
  }
}

// The bit whose flips mostly score highest.
template <class F>
uint64_t telling_bit(uint64_t bits) {
  const uint64_t exponent = bits & static_cast<uint64_t>(kInfinity<F>);
  if (exponent != 0) bits = exponent;
  return bits == 0 ? 0 : uint64_t{1} << highest_bit(bits);
}

}  // namespace faultsim
