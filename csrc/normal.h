// Random numbers of one 64-bit draw.
#pragma once
#include <cmath>
#include <cstdint>

#include "logarithm.h"

namespace faultsim {

// In [0, 1), a multiple of 2^-53.
FAULTSIM_HD inline double uniform_of(uint64_t draw) { return (draw >> 11) * 0x1p-53; }

// The polynomial whose highest coefficient comes first.
template <int n>
FAULTSIM_HD inline double polynomial(const double (&terms)[n], double x) {
  double sum = terms[0];
  for (int k = 1; k < n; ++k) sum = sum * x + terms[k];
  return sum;
}

// The standard normal deviate whose distribution function is (draw + 1/2) / 2^53, of 53 bits of the
// draw; relative error 1e-16 (Wichura, Algorithm AS 241: PPND16, Applied Statistics 37, 1988).
FAULTSIM_HD inline double normal_of(uint64_t draw) {
  constexpr double a[] = {2509.0809287301226727, 33430.575583588128105, 67265.770927008700853,
                          45921.953931549871457, 13731.693765509461125, 1971.5909503065514427,
                          133.14166789178437745, 3.3871328727963666080};
  constexpr double b[] = {
      5226.4952788528545610, 28729.085735721942674, 39307.895800092710610, 21213.794301586595867,
      5394.1960214247511077, 687.18700749205790830, 42.313330701600911252, 1.0};
  constexpr double c[] = {7.7454501427834140764e-4, 2.27238449892691845833e-2,
                          0.241780725177450611770,  1.27045825245236838258,
                          3.64784832476320460504,   5.76949722146069140550,
                          4.63033784615654529590,   1.42343711074968357734};
  constexpr double d[] = {1.05075007164441684324e-9, 5.475938084995344946e-4,
                          1.51986665636164571966e-2, 0.148103976427480074590,
                          0.689767334985100004550,   1.67638483018380384940,
                          2.05319162663775882187,    1.0};
  constexpr double e[] = {2.01033439929228813265e-7, 2.71155556874348757815e-5,
                          1.24266094738807843860e-3, 2.65321895265761230930e-2,
                          0.296560571828504891230,   1.78482653991729133580,
                          5.46378491116411436990,    6.65790464350110377720};
  constexpr double f[] = {2.04426310338993978564e-15, 1.42151175831644588870e-7,
                          1.84631831751005468180e-5,  7.868691311456132591e-4,
                          1.48753612908506148525e-2,  0.136929880922735805310,
                          0.599832206555887937690,    1.0};
  // The distance to the nearer end, so that one half is not rounded up to 1.
  const uint64_t place = draw >> 11;
  const bool is_low = place < (uint64_t{1} << 52);
  const double tail = ((is_low ? place : (uint64_t{1} << 53) - 1 - place) + 0.5) * 0x1p-53;
  const double middle = 0.5 - tail;
  double size;
  if (middle <= 0.425) {
    const double square = 0.180625 - middle * middle;
    size = middle * polynomial(a, square) / polynomial(b, square);
  } else {
    const double root = sqrt(-natural_log(tail));
    size = root <= 5 ? polynomial(c, root - 1.6) / polynomial(d, root - 1.6)
                     : polynomial(e, root - 5) / polynomial(f, root - 5);
  }
  return is_low ? -size : size;
}

}  // namespace faultsim
