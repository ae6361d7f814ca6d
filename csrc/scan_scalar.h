// The exponential and logarithm of the scan for single numbers, on the host and on the device.
//
// The formulas of scan_math.h. What is fused is written so, and setup.py lets no compiler fuse
// more; divisions and subnormals are IEEE 754's. So every device and the host give the same bits
// (but for the payload of a NaN), which the special function unit, faster at 2^x, would not
// promise.
#pragma once
#include <cmath>
#include <cstring>
#include <type_traits>

#include "scan_numbers.h"

namespace faultsim {
namespace {

// a * b + c, rounded once.
FAULTSIM_HD inline float fused(float a, float b, float c) { return fmaf(a, b, c); }
FAULTSIM_HD inline double fused(double a, double b, double c) { return fma(a, b, c); }

template <class To, class From>
FAULTSIM_HD inline To bits_as(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}

template <class Real>
using Word = std::make_unsigned_t<typename Numbers<Real>::Integer>;

template <class Real>
FAULTSIM_HD inline Real exp2_fraction(Real f) {
  using N = Numbers<Real>;
  Real sum = static_cast<Real>(N::exp2(N::exp_terms - 1));
  FAULTSIM_UNROLL
  for (int k = N::exp_terms - 2; k >= 0; --k) sum = fused(sum, f, static_cast<Real>(N::exp2(k)));
  return sum;
}

// Whether 2^x is ordinary: neither x nor the result is subnormal, infinite or NaN.
template <class Real>
FAULTSIM_HD inline bool is_near(Real x) {
  return x < Numbers<Real>::bias - 2 && x > 2 - Numbers<Real>::bias;
}

// 2^(a * b) where that is ordinary.
template <class Real>
FAULTSIM_HD inline Real exp2_near(Real a, Real b) {
  const Real shifted = fused(a, b, kRound<Real>);
  const Real result = exp2_fraction(fused(a, b, kRound<Real> - shifted));
  return bits_as<Real>(bits_as<Word<Real>>(result) +
                       (bits_as<Word<Real>>(shifted) << Numbers<Real>::mantissa));
}

// 2^x for every x: zero, infinity and NaN as IEEE 754 has them.
template <class Real>
FAULTSIM_HD inline Real exp2_far(Real x) {
  using N = Numbers<Real>;
  using Integer = typename N::Integer;
  const Real most = N::bias + 3, least = -N::bias - N::mantissa - 10;
  x = x > most ? most : x;  // a NaN stays
  x = x < least ? least : x;
  const Real shifted = x + kRound<Real>;
  const Real result = exp2_fraction(x - (shifted - kRound<Real>));
  const Integer whole = bits_as<Integer>(shifted) - bits_as<Integer>(kRound<Real>);
  const Integer first = whole >> 1, second = whole - first;  // neither half overflows
  auto power = [](Integer n) {
    return bits_as<Real>(static_cast<Word<Real>>(n + N::bias) << N::mantissa);
  };
  return result * power(first) * power(second);
}

// 2^(a * b); the caller knows that it is ordinary, or does not.
template <bool known, class Real>
FAULTSIM_HD inline Real exp2_of(Real a, Real b) {
  if (known || is_near(a * b)) return exp2_near(a, b);
  return exp2_far(a * b);
}

// log(1 + e) for 0 <= e <= 1, as 2 atanh(e / (2 + e)): nothing is lost for small e.
template <class Real>
FAULTSIM_HD inline Real log_of_one_plus(Real e) {
  constexpr int terms = Numbers<Real>::atanh_terms;
  const Real s = e / (2 + e), square = s * s;
  Real series = static_cast<Real>(1.0 / (2 * terms - 1));
  FAULTSIM_UNROLL
  for (int k = terms - 2; k >= 0; --k)
    series = fused(series, square, static_cast<Real>(1.0 / (2 * k + 1)));
  return 2 * s * series;
}

template <class Real>
FAULTSIM_HD inline Real exp_of_minus_magnitude(Real x) {
  return exp2_far((x < 0 ? x : -x) * static_cast<Real>(kLog2E));
}

template <class Real>
FAULTSIM_HD inline Real softplus(Real x) {
  if (x > kSoftplusLinear) return x;
  return (x > 0 ? x : 0) + log_of_one_plus(exp_of_minus_magnitude(x));
}

template <class Real>
FAULTSIM_HD inline Real softplus_slope(Real x) {
  if (x > kSoftplusLinear) return 1;
  const Real e = exp_of_minus_magnitude(x);
  return (x > 0 ? 1 : e) / (1 + e);
}

// The sum of the n values from `first` on, a power of two, by a tree.
template <int n, class Real, class Value>
FAULTSIM_HD inline Real tree_sum(const Value& value, int first = 0) {
  if constexpr (n == 1) {
    return value(first);
  } else {
    const Real left = tree_sum<n / 2, Real>(value, first);
    return left + tree_sum<n / 2, Real>(value, first + n / 2);
  }
}

}  // namespace
}  // namespace faultsim
