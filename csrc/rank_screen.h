// The fast half of the ranking: which words could hold a bit that beats a threshold?
#pragma once
#include <cstdint>

namespace faultsim {

// Only the upper 16 bits of words are looked at: exponent and first mantissa bits. With m mantissa
// bits left and rounded up, the pattern of a positive float is close to its logarithm,
//   log2(value) <= pattern / 2^m - bias + 0.0861,
// so sums of patterns bound products, in integers, for normal and subnormal words alike.
//
// A word's largest change is at most the largest of
//   |word| with one of the `up` bits set, if that is finite or the others count too,
//   |word| & scaled, shifted by `slope`, for bits that lower, fill or negate it,
//   `tiny`, for the mantissa bits of subnormal words.
struct Screen {
  int16_t up[11];  // exponent bits that may be set; the sign bit, which never wins, for the others
  int16_t top;     // the highest of them; the sign bit if there is none
  int16_t scaled;
  int16_t slope;
  int16_t tiny;
  uint16_t least;  // the smallest sum of patterns that passes; an octave more if finite_only
  bool finite_only;
};

// Writes the positions of the words that may pass, and of all n where a gradient or a change that
// counts is not finite; returns how many. `usual` says whether the top bit was clear in all words
// before, as it is where none is 2 or more: then it alone need be tried.
using ScreenFn = int (*)(const void* weight, const void* grad, int n, const Screen& screen,
                         bool* usual, int* passed);

constexpr int kScreenBlock = 1024;  // the largest n

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
