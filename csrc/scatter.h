// An order of visiting whose every beginning is spread over the whole.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>

namespace faultsim {

// Near the golden section of n and without a factor in common: 0, step, 2 step, ... modulo n visits
// each of n positions once.
inline int64_t scatter_step(int64_t n) {
  int64_t step = std::max<int64_t>(1, std::llround(n * 0.6180339887498949));
  while (std::gcd(step, n) > 1) ++step;
  return step;
}

}  // namespace faultsim
