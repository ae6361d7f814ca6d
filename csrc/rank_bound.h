// What a pass over all words asks of each: can any of its flips reach a threshold?
#pragma once
#include "rank_score.h"

namespace faultsim {

// An upper bound of |change| * |gradient| over the flips of a word, in the precision of the words,
// or double for these. Setting the highest clear exponent bit changes most; flips that lower,
// negate or fill a word change it by less than a known part of itself.
template <class F>
class RankBound {
  using Word = typename F::Stored;

 public:
  using Real = decltype(F::real(Word{}));

  explicit RankBound(const RankJob& job) : finite_only_(job.finite_only) {
    constexpr int width = F::mantissa + F::exponent;
    const uint64_t exponent = job.bits & static_cast<uint64_t>(kInfinity<F>);
    const uint64_t mantissa = job.bits & ((uint64_t{1} << F::mantissa) - 1);
    if (job.direction != Direction::one_to_zero) raising_ = static_cast<Word>(exponent);
    if (raising_ != 0) top_ = static_cast<Word>(Word{1} << highest_bit(exponent));
    const int fill = mantissa != 0 ? highest_bit(mantissa) : -1;
    if (fill >= 0) {
      part_ = std::ldexp(Real{1}, fill - F::mantissa);
      least_ = F::real(static_cast<Word>(uint64_t{1} << fill));  // of subnormal words
    }
    if (exponent != 0) part_ = 1;
    if (job.bits >> width & 1) part_ = 2;
  }

  // Below the threshold where, for all its rounding, no flip can reach the score.
  FAULTSIM_HD static Real threshold(double score) {
    if constexpr (sizeof(Real) == sizeof(double)) return score;
    const double rounded = score * (1 - 0x1p-20);
    if (rounded < 0x1p-100) return static_cast<Real>(score < 0 ? -1 : 0);
    return static_cast<Real>(rounded < kMost ? rounded : kMost);
  }

  FAULTSIM_HD Real operator()(Word weight, Word gradient) const {
    return largest_change(weight & kMagnitude<F>) * F::real(gradient & kMagnitude<F>);
  }

  // Whether exponent bits may be set.
  FAULTSIM_HD bool raises() const { return top_ != 0; }

  // No less, in a few instructions, for words of which all_usual(): setting the highest exponent
  // bit that may be set at least doubles a word, and no other flip does more. Infinite, or a NaN,
  // where a closer look is needed.
  template <bool raises>
  FAULTSIM_HD Real usual(Word weight, Word gradient) const {
    const Word magnitude = weight & kMagnitude<F>;
    const Real slope = F::real(gradient & kMagnitude<F>);
    if constexpr (raises) return F::real(magnitude | top_) * slope;
    const Real own = F::real(magnitude) * part_, change = own < least_ ? least_ : own;
    return magnitude < kInfinity<F> ? change * slope : static_cast<Real>(kInfinite);
  }

  // Given the union of some words, whether that bit is clear in each.
  template <bool raises>
  FAULTSIM_HD bool all_usual(Word all) const {
    return !raises || (all & top_) == 0;
  }

 private:
  FAULTSIM_HD Real largest_change(Word magnitude) const {
    constexpr Real infinity = static_cast<Real>(kInfinite);
    if (magnitude >= kInfinity<F>) return finite_only_ ? 0 : infinity;
    const Real own = F::real(magnitude) * part_;
    Real change = own < least_ ? least_ : own;
    const Word clear = raising_ & ~magnitude;
    if (clear == 0) return change;
    const Word raised = magnitude | static_cast<Word>(Word{1} << highest_bit(clear));
    // If raising is not finite, every other exponent bit is set: nothing else raises.
    if (raised >= kInfinity<F>) return finite_only_ ? change : infinity;
    const Real other = F::real(raised);
    return change < other ? other : change;
  }

  static constexpr double kMost = std::numeric_limits<Real>::max();

  Word raising_ = 0, top_ = 0;
  Real part_ = 0;
  Real least_ = 0;
  bool finite_only_;
};

}  // namespace faultsim
