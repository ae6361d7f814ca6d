// Exact top-k over every bit of every word, by first-order loss change |g * (w' - w)|.
#pragma once
#include <cstdint>
#include <vector>

#include "top.h"

namespace faultsim {

enum class Float : int { f64 = 0, f32 = 1, f16 = 2, bf16 = 3 };
enum class Direction : int { both = 0, zero_to_one = 1, one_to_zero = 2 };

struct RankJob {
  const void* weight;
  const void* grad;
  int64_t n;  // words
  Float format;
  uint64_t bits;  // allowed
  bool finite_only;
  Direction direction;
  int64_t k;
  int threads;
};

// At most k bits in order: score descending, then index, then bit. *nan becomes the first position
// whose gradient is NaN, or -1.
std::vector<Ranked> rank_bits(const RankJob& job, int64_t* nan);

}  // namespace faultsim
