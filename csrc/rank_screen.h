// The fast half of the ranking: which words could hold a bit that beats a threshold?
#pragma once
#include <cstdint>

namespace faultsim {

// A word's largest change is bounded by the sum of
//   the value of |word| with one of the `up` bits set, up to the pattern `largest`,
//   slope times the value of |word| & scaled, for bits that lower, fill or negate it,
// or by `least`, for the mantissa bits of subnormal words, if that is more.
struct Screen {
  int64_t up[11];  // exponent bits that may be set, 0 for the others
  int64_t largest;
  int64_t scaled;
  double slope;
  double least;
  double bound_scale;  // bound * bound_scale * |g| * grad_scale >= 1 where bound * |g| >= threshold
  double grad_scale;
};

// Writes the positions of the words that may pass, and of every NaN gradient; returns how many.
using ScreenFn = int (*)(const void* weight, const void* grad, int n, const Screen& screen,
                         int* passed);

constexpr int kScreenBlock = 256;  // the largest n

struct Screens {
  ScreenFn f64, f32, f16, bf16;
};

namespace baseline {
extern const Screens screens;
}
namespace avx2 {
extern const Screens screens;
}
namespace avx512 {
extern const Screens screens;
}

}  // namespace faultsim
