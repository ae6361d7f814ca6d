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

// exp2: coefficients of 2^f on [-1/2, 1/2] with 2^0 = 1 exactly. atanh_terms: of the series in
// softplus, where s <= 1/3.
template <>
struct Numbers<float> {
  using Integer = int32_t;
  static constexpr int mantissa = 23, bias = 127, exp_terms = 6, atanh_terms = 7;
  // minimax: a relative error of 1.1e-7
  static constexpr double exp2[exp_terms] = {1,
                                             0.6931469775989917,
                                             0.2402224208537675,
                                             0.05550733743470878,
                                             0.009671512639955455,
                                             0.001326472713980155};
};

template <>
struct Numbers<double> {
  using Integer = int64_t;
  static constexpr int mantissa = 52, bias = 1023, exp_terms = 13, atanh_terms = 16;
  // Taylor: ln(2)^k / k!
  static constexpr double exp2[exp_terms] = {1,
                                             0.6931471805599453,
                                             0.2402265069591007,
                                             0.055504108664821576,
                                             0.009618129107628477,
                                             0.0013333558146428441,
                                             0.00015403530393381606,
                                             1.5252733804059838e-05,
                                             1.3215486790144305e-06,
                                             1.0178086009239696e-07,
                                             7.054911620801121e-09,
                                             4.44553827187081e-10,
                                             2.5678435993488196e-11};
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

template <class Real>
inline V<Real> exp2_fraction(V<Real> f) {
  using N = Numbers<Real>;
  V<Real> sum = all<Real>(static_cast<Real>(N::exp2[N::exp_terms - 1]));
#pragma GCC unroll 16
  for (int k = N::exp_terms - 2; k >= 0; --k) sum = sum * f + static_cast<Real>(N::exp2[k]);
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

constexpr int kSoftplusLinear = 20;  // as torch and mamba-ssm have it

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
