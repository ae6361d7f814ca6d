// Logarithms of additions, multiplications and divisions only, so that no libm and no device can
// differ.
#pragma once
#include <cstdint>
#include <cstring>

#include "host_device.h"

namespace faultsim {

// log(1 + z) - log(1 - z) for |z| <= 0.18
FAULTSIM_HD inline double log_ratio(double z) {
  const double square = z * z;
  double sum = 0;
  for (int k = 23; k >= 1; k -= 2) sum = sum * square + 1.0 / k;
  return 2 * z * sum;
}

// Natural logarithm of a positive normal number.
FAULTSIM_HD inline double natural_log(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  int exponent = static_cast<int>(bits >> 52) - 1023;
  bits = (bits & 0x000FFFFFFFFFFFFFu) | 0x3FF0000000000000u;
  double mantissa;
  memcpy(&mantissa, &bits, sizeof mantissa);
  if (mantissa > 1.4142135623730951) {
    mantissa *= 0.5;
    ++exponent;
  }
  const double fraction = log_ratio((mantissa - 1) / (mantissa + 1));
  // ln 2 in two parts: the first has 32 trailing zeros, so its product is exact.
  return exponent * 0.693147180369123816490 + (exponent * 1.90821492927058770002e-10 + fraction);
}

// log(1 - p) for 0 < p < 1, accurate for tiny p.
FAULTSIM_HD inline double log_survival(double p) {
  return p < 0.25 ? log_ratio(-p / (2 - p)) : natural_log(1 - p);
}

}  // namespace faultsim
