// Vectors of numbers, and the exponential and logarithm of the scan.
//
// In an anonymous namespace and without the standard library, because sources compiled for
// different instruction sets include it and must not share its code.
#pragma once
#include <cstdint>

namespace faultsim {
namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

template <class Real>
struct Numbers;

// terms of the series below, chosen for the precision of the format
template <>
struct Numbers<float> {
  using Integer = int32_t;
  static constexpr int mantissa = 23, bias = 127, exp_terms = 7, log_terms = 5;
  static constexpr int32_t half_root = 0x3F3504F3;  // the pattern of sqrt(1/2)
};

template <>
struct Numbers<double> {
  using Integer = int64_t;
  static constexpr int mantissa = 52, bias = 1023, exp_terms = 13, log_terms = 11;
  static constexpr int64_t half_root = 0x3FE6A09E667F3BCD;
};

template <class Real>
struct Vector {
  typedef Real V __attribute__((vector_size(kVectorBytes)));
  typedef typename Numbers<Real>::Integer I __attribute__((vector_size(kVectorBytes)));
  static constexpr int lanes = kVectorBytes / static_cast<int>(sizeof(Real));
};

template <class Real>
using V = typename Vector<Real>::V;
template <class Real>
using I = typename Vector<Real>::I;

template <class Real>
inline V<Real> all(Real value) {
  return V<Real>{} + value;
}

constexpr double kLn2 = 0.6931471805599453094;
constexpr double kLog2E = 1.4426950408889634074;

// 2^f for |f| <= 1/2, by the Taylor series of exp.
template <class Real>
inline V<Real> exp2_fraction(V<Real> f) {
  double coefficient[Numbers<Real>::exp_terms];
  coefficient[0] = 1;
  for (int k = 1; k < Numbers<Real>::exp_terms; ++k) coefficient[k] = coefficient[k - 1] * kLn2 / k;
  V<Real> sum = all<Real>(static_cast<Real>(coefficient[Numbers<Real>::exp_terms - 1]));
#pragma GCC unroll 16
  for (int k = Numbers<Real>::exp_terms - 2; k >= 0; --k)
    sum = sum * f + static_cast<Real>(coefficient[k]);
  return sum;
}

// Adding and subtracting it rounds to a whole number, which then stands in the low bits.
template <class Real>
constexpr Real kRound = static_cast<Real>(1.5 * (int64_t{1} << Numbers<Real>::mantissa));

// 2^x where neither x nor the result is out of the ordinary: |x| < bias - 2.
template <class Real>
inline V<Real> exp2_near(V<Real> x) {
  const V<Real> shifted = x + kRound<Real>;
  const V<Real> result = exp2_fraction<Real>(x - (shifted - kRound<Real>));
  return (V<Real>)((I<Real>)result + ((I<Real>)shifted << Numbers<Real>::mantissa));
}

// 2^x for every x: zero, infinity and NaN as IEEE 754 has them.
template <class Real>
inline V<Real> exp2_far(V<Real> x) {
  using N = Numbers<Real>;
  const V<Real> most = all<Real>(N::bias + 3), least = all<Real>(-N::bias - N::mantissa - 10);
  x = x > most ? most : x;  // a NaN stays
  x = x < least ? least : x;
  const V<Real> shifted = x + kRound<Real>;
  const V<Real> result = exp2_fraction<Real>(x - (shifted - kRound<Real>));
  const I<Real> whole = (I<Real>)shifted - (I<Real>)all<Real>(kRound<Real>);
  const I<Real> first = whole >> 1, second = whole - first;  // neither half overflows
  return result * (V<Real>)((first + N::bias) << N::mantissa) *
         (V<Real>)((second + N::bias) << N::mantissa);
}

// log(1 + e) for e >= 0, exact to rounding for small e too.
template <class Real>
inline V<Real> log1p(V<Real> e) {
  using N = Numbers<Real>;
  const V<Real> y = 1 + e;
  const I<Real> whole = ((I<Real>)y - N::half_root) >> N::mantissa;
  const V<Real> m = (V<Real>)((I<Real>)y - (whole << N::mantissa));  // in [sqrt(1/2), sqrt(2))
  const V<Real> s = (m - 1) / (m + 1), square = s * s;
  V<Real> series = all<Real>(static_cast<Real>(1.0 / (2 * N::log_terms - 1)));
#pragma GCC unroll 16
  for (int k = N::log_terms - 2; k >= 0; --k)
    series = series * square + static_cast<Real>(1.0 / (2 * k + 1));
  const V<Real> lost = (e - (y - 1)) / y;
  return __builtin_convertvector(whole, V<Real>) * static_cast<Real>(kLn2) + 2 * s * series + lost;
}

constexpr int kSoftplusLinear = 20;  // as torch and mamba-ssm have it

template <class Real>
inline V<Real> exp_to_limit(V<Real> x) {
  const V<Real> limit = all<Real>(kSoftplusLinear);
  return exp2_far<Real>((x > limit ? limit : x) * static_cast<Real>(kLog2E));
}

template <class Real>
inline V<Real> softplus(V<Real> x) {
  return x > kSoftplusLinear ? x : log1p<Real>(exp_to_limit<Real>(x));
}

template <class Real>
inline V<Real> softplus_slope(V<Real> x) {
  const V<Real> e = exp_to_limit<Real>(x);
  return x > kSoftplusLinear ? all<Real>(1) : e / (1 + e);
}

}  // namespace
}  // namespace faultsim
