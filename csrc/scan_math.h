// Vectors of numbers, and the exponential and logarithm of the scan.
//
// In an anonymous namespace and without the standard library, because sources compiled for
// different instruction sets include it and must not share its code.
#pragma once
#include "scan_numbers.h"

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

// A product that is rounded before it is added to another. Of a sum of two products a compiler
// fuses one or the other, and chose differently (GCC 13) in two copies of one loop, with faults and
// without.
template <class Real>
inline V<Real> rounded(V<Real> product) {
#if defined(__x86_64__)
  asm("" : "+v"(product));
#elif defined(__aarch64__)
  asm("" : "+w"(product));
#endif
  return product;
}

template <class Real>
inline V<Real> exp2_fraction(V<Real> f) {
  using N = Numbers<Real>;
  V<Real> sum = all<Real>(static_cast<Real>(N::exp2(N::exp_terms - 1)));
#pragma GCC unroll 16
  for (int k = N::exp_terms - 2; k >= 0; --k) sum = sum * f + static_cast<Real>(N::exp2(k));
  return sum;
}

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

// log(1 + e) for 0 <= e <= 1, as 2 atanh(e / (2 + e)): nothing is lost for small e.
template <class Real>
inline V<Real> log1p(V<Real> e) {
  using N = Numbers<Real>;
  const V<Real> s = e / (2 + e), square = s * s;
  V<Real> series = all<Real>(static_cast<Real>(1.0 / (2 * N::atanh_terms - 1)));
#pragma GCC unroll 32
  for (int k = N::atanh_terms - 2; k >= 0; --k)
    series = series * square + static_cast<Real>(1.0 / (2 * k + 1));
  return 2 * s * series;
}

template <class Real>
inline V<Real> exp_of_minus_magnitude(V<Real> x) {
  return exp2_far<Real>((x < 0 ? x : -x) * static_cast<Real>(kLog2E));
}

template <class Real>
inline V<Real> softplus(V<Real> x) {
  const V<Real> zero{};
  const V<Real> y = (x > 0 ? x : zero) + log1p<Real>(exp_of_minus_magnitude<Real>(x));
  return x > kSoftplusLinear ? x : y;
}

template <class Real>
inline V<Real> softplus_slope(V<Real> x) {
  const V<Real> e = exp_of_minus_magnitude<Real>(x), one = all<Real>(1);
  const V<Real> y = (x > 0 ? one : e) / (1 + e);
  return x > kSoftplusLinear ? one : y;
}

}  // namespace
}  // namespace faultsim
