// The constants of the scan's exponential and logarithm, for vectors and single numbers alike.
//
// In an anonymous namespace and without the standard library, because sources compiled for
// different instruction sets include it and must not share its code.
#pragma once
#include <cstdint>

#include "host_device.h"

namespace faultsim {
namespace {

template <class Real>
struct Numbers;

// exp2: coefficients of 2^f on [-1/2, 1/2] with 2^0 = 1 exactly. atanh_terms: of the series in
// softplus, where s <= 1/3. Functions, because device code cannot read a constant array of a class.
template <>
struct Numbers<float> {
  using Integer = int32_t;
  static constexpr int mantissa = 23, bias = 127, exp_terms = 6, atanh_terms = 7;
  // minimax: a relative error of 1.1e-7
  FAULTSIM_HD static constexpr double exp2(int k) {
    constexpr double terms[exp_terms] = {1,
                                         0.6931469775989917,
                                         0.2402224208537675,
                                         0.05550733743470878,
                                         0.009671512639955455,
                                         0.001326472713980155};
    return terms[k];
  }
};

template <>
struct Numbers<double> {
  using Integer = int64_t;
  static constexpr int mantissa = 52, bias = 1023, exp_terms = 13, atanh_terms = 16;
  // Taylor: ln(2)^k / k!
  FAULTSIM_HD static constexpr double exp2(int k) {
    constexpr double terms[exp_terms] = {1,
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
    return terms[k];
  }
};

constexpr double kLn2 = 0.6931471805599453094;
constexpr double kLog2E = 1.4426950408889634074;
constexpr int kSoftplusLinear = 20;  // as torch and mamba-ssm have it

// Adding and subtracting it rounds to a whole number, which then stands in the low bits.
template <class Real>
constexpr Real kRound = static_cast<Real>(1.5 * (int64_t{1} << Numbers<Real>::mantissa));

// A NaN stays.
template <class Real>
FAULTSIM_HD inline Real larger(Real a, Real b) {
  return a != a || b <= a ? a : b;
}

}  // namespace
}  // namespace faultsim
